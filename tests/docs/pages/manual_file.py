"""centipede.toml(5): its example is a file that a tunnel starts with."""

from bed import check

PAGE = "docs/man/centipede.toml.5"
TOPOLOGY = "single"


def run(page, bed):
    laptop = bed.host("laptop")
    page.dress(laptop)
    page.write(laptop, "/etc/centipede/cp0.toml", "[interface]")
    laptop.centipede("genkey", "-o", "/etc/centipede/cp0.key")
    said = laptop.centipede("doctor", check=False).stdout
    check("ok    configuration: /etc/centipede/cp0.toml is valid" in said, "doctor takes it")
    check("warn  configuration" not in said, "without a warning")
