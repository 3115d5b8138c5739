"""The command ``robust-det``: one module a sub-command, each with ``add_arguments`` and ``main``.

The modules import what they need inside ``main``, so that ``--help`` starts at once.
"""
