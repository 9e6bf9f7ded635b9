"""Join what was trained into the file that is shipped, in half precision, and print its SHA-256.

python demo/ship.py --host COMFYUI --work FOLDER
"""

import hashlib

import assemble
import autoencoder
import common


def main() -> None:
    work = common.parser(__doc__).parse_args().work
    coder = common.load(work / f"autoencoder-{len(autoencoder.STAGES) - 1}.safetensors")
    tensors = {f"autoencoder.{key}": value for key, value in coder.items()}
    trained_encoder = common.load(work / "encoder.safetensors")
    tensors |= {f"encoder.{key}": value for key, value in trained_encoder.items()}
    tensors |= common.load(work / "trained.safetensors")
    common.save(assemble.WEIGHTS, {key: value.half() for key, value in tensors.items()})
    print(hashlib.sha256(assemble.WEIGHTS.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
