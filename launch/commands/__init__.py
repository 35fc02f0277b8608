"""
The commands of ``devitrify``: each module here is one, found by its name.

A command ``example`` is a module ``example.py`` with a dataclass of its options and a function of
the same name as the module, which takes them::

    @dataclass(frozen=True, kw_only=True)
    class ExampleOptions:
        formula: Annotated[str, typer.Argument(help="Chemical formula.")]


    @command_of(ExampleOptions)
    def example(options: ExampleOptions) -> None:
        \"\"\"Say in one line what it does; that is its help.\"\"\"

Nothing else names it. What several commands need is in :mod:`launch.commands.shared`. Heavy
packages are imported inside of functions: every module here is loaded for ``devitrify --help``.
"""
