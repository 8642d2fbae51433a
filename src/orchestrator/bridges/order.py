"""What the supervisor is to run, as the daemon packs it. Of the standard library only, and little of that."""


class Order:
    """One attempt. Bytes stay bytes: paths and arguments need no encoding.

    *cgroups* are the folders, still to be made, that become the attempt's own control groups. Of the limits 0 is none.
    """

    def __init__(self, packed: bytes) -> None:
        fields = packed.split(b"\0")
        self.attempt_dir, self.cwd, mark, self.digest, self.final = fields[:5]
        self.mark = mark.decode()
        self.timeout_s, self.grace_s, self.stall_s = map(float, fields[5:8])
        self.max_output_bytes, self.max_processes, self.memory_bytes = map(int, fields[8:11])
        self.durable = fields[11] == b"1"
        lists, rest = [], fields[15:]
        for count in map(int, fields[12:15]):
            lists.append(rest[:count])
            rest = rest[count:]
        self.cgroups, self.container, self.argv = lists
        self.env = dict(pair.split(b"=", 1) for pair in rest if pair)
