"""States of Fireworks and launches, by what they mean to us."""

#: A worker, or a batch job, has it.
HELD = ("RUNNING", "RESERVED")
#: It goes on without anybody's help.
UNDER_WAY = (*HELD, "READY")
#: It will never run again by itself.
ENDED = ("COMPLETED", "FIZZLED", "DEFUSED", "ARCHIVED")
