"""`python -m accelsim`."""

from accelsim.cli.main import main

main()
