# Sourced by the other scripts: make_environment FOLDER EXTRAS installs hilum there, as locked.
# It does nothing when that was done before and neither pyproject.toml, constraints.txt nor the version changed.

# Without bytecode each of the processes that a script starts would compile all that it imports.
unset PYTHONDONTWRITEBYTECODE

make_environment() {
    local folder=$1 extras=$2 python stamp
    python=$(find_python)
    stamp="$extras $("$python" -c 'import hashlib, sys
print(hashlib.sha256(b"".join(open(f, "rb").read() for f in sys.argv[1:])).hexdigest())' \
        pyproject.toml constraints.txt src/hilum/__init__.py)"
    if [ -f "$folder/hilum-stamp" ] && [ "$(cat "$folder/hilum-stamp")" = "$stamp" ]; then
        return
    fi
    echo "setting up $folder ..." >&2
    trap 'exit 130' INT # else what Ctrl-C ends would be followed by the next step
    [ -x "$folder/bin/pip" ] || "$python" -m venv "$folder"
    install_quickly "$folder" "$extras" || "$folder/bin/python" -m pip install --quiet \
        --disable-pip-version-check --constraint constraints.txt --editable ".$extras" \
        2>&1 | { grep -v '^WARNING' || true; } >&2
    trap - INT
    "$folder/bin/python" -c 'import hilum'
    echo "$stamp" > "$folder/hilum-stamp"
}

# uv installs in 25 seconds what pip installs in 215. Of pip's settings it knows what is handed on
# here; where that is not enough, pip does the work.
install_quickly() {
    local python=$1/bin/python setting value
    "$python" -m pip install --quiet --disable-pip-version-check uv 2> /dev/null || return
    for setting in index-url=UV_DEFAULT_INDEX find-links=UV_FIND_LINKS; do
        value=$("$python" -m pip config list | sed -n "s/^.*\.${setting%=*}='\(.*\)'$/\1/p" | tail -n 1)
        [ -z "$value" ] || export "${setting#*=}=$value"
    done
    UV_SYSTEM_CERTS=true "$1/bin/uv" pip install --quiet --python "$python" \
        --constraint constraints.txt --editable ".$2" 2> /dev/null
}

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: Python 3.11 or newer is needed; none was found on PATH" >&2
    echo "  hint: install it, for instance with your system's package manager" >&2
    exit 2
}
