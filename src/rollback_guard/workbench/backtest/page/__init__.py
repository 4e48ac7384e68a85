"""Draw what a backtest found: one HTML file with charts that needs no network."""

from rollback_guard.workbench.backtest.page.render import page

__all__ = ["page"]
