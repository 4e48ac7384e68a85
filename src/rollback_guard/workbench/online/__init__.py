"""Ask the Prometheus that rules are for what only it can know: `rollback-guard check --online`.

The way of a question:

    examine           all data sources at once, within one time limit; what they could not be asked
    rules             rules by data source, each expression with its place  (pure)
    selectors         the selectors of an expression  (pure)
    status            who is it, what time has it, has it data?
    evaluation        what do the rules say now? how many series?
    refusals          which expressions does it not take, and what does it say to them?
    presence          do the selectors select anything, or did they once?
    mismatch          if never: which metric or matcher is it?
    scrape_interval   do ranges and `max_age` suit how often samples come?
    metric_types      do the functions suit the types of the metrics?
    cost              how long does each query take?
    findings          each thing once, and nothing that follows from another  (pure)
    report            what was found, who was asked, and what was not
    server            every question once, in few requests, as long as there is time
"""

from rollback_guard.workbench.online.examine import NotOnlineError, examine
from rollback_guard.workbench.online.report import Report, ServerReport

__all__ = ["NotOnlineError", "Report", "ServerReport", "examine"]
