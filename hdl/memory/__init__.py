"""One AXI port of the memory: its streams, who is served when, and how frames are packed."""
