"""What people and machines say when they answer. No phrase of one set is in the other."""

from .voices import Set

HUMAN: dict[Set, tuple[str, ...]] = {
    "tuning": (
        "Hello?",
        "Yes?",
        "Hi.",
        "Hello, hello?",
        "This is Peter.",
        "Yeah, hello?",
        "Good morning.",
        "Miller.",
        "Speaking.",
        "Hello, this is Anna.",
        "Hi, who's there?",
        "Customer service, hello?",
        "Good afternoon, Baker and Sons.",
        "Front desk, how can I help you?",
        "Thank you for calling Smith Hardware, this is Tom.",
        "City library, Martha speaking, what can I do for you?",
        "Good morning, Doctor Brown's office, how may I help you today?",
    ),
    "test": (
        "Hello.",
        "Hello? Who is this?",
        "Yes, hello.",
        "Hey.",
        "Yep?",
        "Jane Foster.",
        "Hi, it's Carol.",
        "Good evening.",
        "Who's calling, please?",
        "Hello, Robert here.",
        "Ready, go ahead.",
        "Acme, Jane speaking, how can I help?",
        "Reception, good day.",
        "Hotel Continental, reception, how may I assist you?",
        "North Side Pizza, is this for pickup or delivery?",
        "Good afternoon, you're through to accounts, my name is Susan.",
        "Riverside dental clinic, good morning, this is Linda, how can I help?",
    ),
}

MACHINE: dict[Set, tuple[str, ...]] = {
    "tuning": (
        "Hi, you've reached the voicemail of Peter Miller. I can't take your call right now. Please leave a message "
        "after the beep, and I will call you back.",
        "You have reached five five five, one two three four. Nobody is available to take your call. Please leave a "
        "message after the tone.",
        "Hello, this is Anna. I'm not at home at the moment. Leave your name and your number, and I'll call back.",
        "The person you are calling is not available. At the tone, please record your message. When you have finished, "
        "you may hang up, or press one for more options.",
        "Hi, it's Tom. Leave a message.",
        "Thank you for calling Baker and Sons. Our office is closed now. Our hours are nine to five, Monday to Friday.",
        "Hey, sorry I missed you. You know what to do.",
        "Welcome to the mailbox of extension four two seven. Please speak after the signal.",
    ),
    "test": (
        "Your call has been forwarded to an automated voice messaging system. The subscriber is not available. Please "
        "leave your message after the tone.",
        "Hi there, this is Carol Jones. I am either away from my desk or on another call. Your call matters to me, "
        "so please leave a detailed message.",
        "Hello, you have reached the Foster family. We can't come to the phone right now. Please leave your name "
        "and a short message after the beep. Thank you, and have a nice day.",
        "We're sorry, but nobody can answer your call. Please try again later, or leave a message after the tone.",
        "This is Robert's phone. Say something after the beep.",
        "Hi, I'm not here. Text me.",
        "You've reached Riverside dental clinic. If this is an emergency, please hang up and dial nine one one. "
        "Otherwise leave your name and a number, and we will return your call on the next business day.",
        "The mobile customer you have dialled can not be reached at present. Please speak after the tone.",
        "It's Susan. I can't talk now. Please leave me a message, and I will ring you as soon as I can.",
    ),
}

PROMPTS = (
    ("vm-theperson", "digits/5", "digits/2", "vm-isunavail", "vm-intro"),
    ("vm-nobodyavail", "vm-leavemsg"),
    ("number-not-answering", "vm-intro"),
    ("vm-intro",),
    ("demo-congrats",),
    ("queue-thankyou", "queue-youarenext"),
    ("im-sorry", "vm-theperson", "digits/7", "vm-isonphone", "vm-leavemsg"),
    ("ss-noservice",),
    ("something-terribly-wrong", "please-try-call-later"),
)
"""Greetings from prompts that a person recorded; of the test set alone."""

ANSWERS = ("hello", "calling", "extension", "one-moment-please", "followme/pls-hold-while-try", "transfer")
"""Short words of the same person."""
