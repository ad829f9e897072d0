"""offhook: a self-hosted SIP gateway and trunk platform for voice AI."""
