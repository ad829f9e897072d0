"""SIP, pure: messages, transactions, dialogs and the INVITE usage. No sockets, no tasks, no clock, no chance."""
