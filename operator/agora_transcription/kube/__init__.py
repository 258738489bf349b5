"""Kubernetes' API server, for all who talk to it: how to enter, and what comes back.

The official client is one package with two halves, and to import anything of it imports the synchronous one, with
requests, oauthlib and websocket-client: 270 modules and 9 MB that nothing here uses. So the package is there without
what its `__init__` would do. kopf imports it too, wherever it is installed, and has to come later.
"""

import sys
from importlib.util import find_spec, module_from_spec

for _name in ("kubernetes", "kubernetes.aio"):
    if _name not in sys.modules and (_spec := find_spec(_name)) is not None:
        sys.modules[_name] = module_from_spec(_spec)
        _parent, _, _child = _name.rpartition(".")
        if _parent:  # where an import would put it, and the client's own code looks for it
            setattr(sys.modules[_parent], _child, sys.modules[_name])
