#!/bin/sh
# install.sh PYTHON FOLDER [NAME]: LLaMA-Factory, axolotl and OLMo-core (or the one named) as FOLDER/NAME,
# each with what its loading needs and no more. torch and what else they do not pin is taken from PYTHON's
# environment.
set -eu
python=$1 folder=$2 only=${3-}
ours=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

install() { # NAME, packages that are installed alone, and after -- those with what they require
    name=$1
    shift
    [ "${only:-$name}" = "$name" ] || return 0
    [ -e "$folder/$name/installed" ] && return
    "$python" -m venv --clear "$folder/$name"
    theirs=$("$folder/$name/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "$ours" > "$theirs/ours.pth"
    alone=
    while [ "$1" != -- ]; do
        alone="$alone $1"
        shift
    done
    shift
    pip="$folder/$name/bin/pip install --quiet --disable-pip-version-check"
    # What pip says of the requirements that are left out is known.
    $pip --no-deps $alone 2> "$folder/$name/pip.log" || { cat "$folder/$name/pip.log" >&2; exit 1; }
    $pip "$@" 2>> "$folder/$name/pip.log" || { cat "$folder/$name/pip.log" >&2; exit 1; }
    touch "$folder/$name/installed"
}

mkdir -p "$folder"
install llama-factory \
    llamafactory==0.9.5 transformers==5.6.0 datasets==4.0.0 trl==0.24.0 peft==0.18.1 accelerate==1.11.0 \
    omegaconf==2.4.0 antlr4-python3-runtime==4.9.3 einops==0.8.2 sentencepiece==0.2.3 av==16.0.0 \
    tyro==0.8.14 docstring-parser==0.18.0 shtab==1.13.0 typeguard==4.6.0 fire==0.7.1 termcolor==3.3.0 \
    modelscope==1.40.2 protobuf==7.36.2 scipy==1.17.1 tiktoken==0.14.0 torchdata==0.11.0 \
    -- \
    transformers==5.6.0 datasets==4.0.0 accelerate==1.11.0 peft==0.18.1 trl==0.24.0 'huggingface-hub<2' \
    httpx requests matplotlib pydantic pillow fastapi==0.165.0 uvicorn==0.54.0 sse-starlette==3.7.0
install axolotl \
    axolotl==0.19.0 addict==2.4.0 colorama==0.4.6 python-dotenv==1.0.1 fire==0.7.1 termcolor==3.3.0 \
    posthog==6.7.11 backoff==2.2.1 distro==1.9.0 einops==0.8.2 scipy==1.17.1 art==6.5 numba==0.68.1 \
    llvmlite==0.50.0 axolotl-contribs-mit==0.0.6 axolotl-contribs-lgpl==0.0.7 evaluate==0.4.1 \
    responses==0.26.3 mistral-common==1.11.5 schedulefree==1.4.1 nvidia-ml-py==13.615.71 typer==0.25.1 \
    pydantic==2.12.5 pydantic-core==2.41.5 six==1.17.0 \
    -- \
    transformers==5.16.1 datasets==4.8.4 accelerate==1.13.0 peft==0.20.0 trl==1.9.0 \
    huggingface_hub==1.17.0 pydantic==2.12.5 httpx requests aiohttp
install olmo-core \
    ai2-olmo-core==3.0.0 cached-path==1.8.10 dataclass-extensions==0.5.0 bettermap==1.3.1 importlib-resources==7.1.0 \
    -- \
    google-cloud-storage boto3 requests 'huggingface-hub<2' httpx rich pandas
