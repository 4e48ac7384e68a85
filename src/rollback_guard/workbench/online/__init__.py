"""Ask the Prometheus that rules are for what only it can know: `rollback-guard check --online`.

The way of a question:

    examine     all data sources at once, within one time limit; what they could not be asked
    subject     rules by data source, each expression with its place                  pure
    anatomy     the selectors of an expression                                        pure
    host        who is it, what time has it, has it data?
    outlook     does it take the expressions? what do the rules say now? how many series?
    presence    do the selectors select anything, or did they once?
    culprit     if never: which metric or matcher is it?
    cadence     do ranges and `max_age` suit how often samples come?
    kinds       do the functions suit the types of the metrics?
    cost        how long does each query take?
    telling     who was asked, and what was not
    server      every question once, in few requests, as long as there is time
"""

from rollback_guard.workbench.online.examine import NotOnlineError, Report, ServerReport, examine

__all__ = ["NotOnlineError", "Report", "ServerReport", "examine"]
