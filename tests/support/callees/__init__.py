"""Who may answer a call, as sound: people, machines, faxes, tones and nobody, made from seeds.

Two sets share no phrase, no voice, no shape of a beep and no seed: `tuning`, by which thresholds were chosen, and
`test`, by which they are judged.
"""
