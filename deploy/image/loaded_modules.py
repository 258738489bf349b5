"""Print the files of all modules that the command's parts load, for the byte code in the image.

What the image lacks, as the engines do in one of its variants, no part can load there.
"""

import importlib
import pkgutil
import sys

import agora_transcription

for module in pkgutil.walk_packages(agora_transcription.__path__, "agora_transcription."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as missing:
        if f"{missing.name}".startswith("agora_transcription"):
            raise
files = {getattr(module, "__file__", None) or "" for module in sys.modules.values()} - {__file__}
print(*sorted(file for file in files if file.endswith(".py")), sep="\n")
