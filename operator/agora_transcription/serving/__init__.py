"""What gateway, stt and simulator share as HTTP servers: how one runs, and who may call."""
