"""Results to pictures and to one HTML file that opens offline."""

from voxbench.report.html import (
    Comparison,
    Picture,
    Quantity,
    RegistrationPage,
    Table,
    write_registration_report,
)
from voxbench.report.registration import overview, overview_png

__all__ = [
    "Comparison",
    "Picture",
    "Quantity",
    "RegistrationPage",
    "Table",
    "overview",
    "overview_png",
    "write_registration_report",
]
