"""A menu by keys, or by voice where an engine for it is installed: asks for an account number and reads it back.

pip install 'offhook[agent]'
offhook run digits_menu.py
"""

from offhook import Agent, Call

BALANCES = {"1234": "12 dollars", "4711": "4,000 dollars"}

agent = Agent("menu", greeting="Welcome to the bank.")


@agent.on_call
async def menu(call: Call) -> None:
    for _ in range(3):
        account = await call.collect_digits(4, "Please key in your account number, or say it.", by_voice=True)
        if account.reason == "timeout" and not account:
            await call.say("I didn't get that.")
        elif str(account) in BALANCES:
            await call.say(f"Account {' '.join(str(account))} has {BALANCES[str(account)]}. Goodbye.")
            return
        else:
            await call.say(f"There is no account {' '.join(str(account))}.")
    await call.say("Let's leave it at that. Goodbye.")


if __name__ == "__main__":
    agent.run()
