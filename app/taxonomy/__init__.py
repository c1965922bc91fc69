"""Code lists and look-ups: NUTS, NACE, countries, languages, skills, fixed vocabularies, figures.

Pure look-ups: no database, no web, no network; but for the skill catalogue that an operator imports, which stands
in the database (`tables`, `repository`, `service`). Importing any module here is cheap; what is large
(region tables, language models, skill lists) is loaded at first use and kept for the process.
An unknown code is answered with `None`, `False` or an empty tuple, never with an exception: the callers
validate user input and word their own errors. The one exception is `figures.parse_figure`.
"""
