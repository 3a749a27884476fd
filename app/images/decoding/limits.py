"""What decoding may cost."""

# A request has this much memory, in bytes. One that needs more is done once more, alone.
ROOM = 256 * 2**20
ROOM_ALONE = 2**30
# Processor time of one image or page, in seconds: the same on a busy machine as on an idle one.
CPU_S = 20
# In case that a decoder stands still without working.
WALL_S = 180
# A decoder without work ends after this time, in seconds.
IDLE_S = 60
# What a decoder ends with when it has no room for the request itself.
NO_ROOM = 3
