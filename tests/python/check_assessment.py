#!/usr/bin/env python3
"""Assesses images that the makers' own tools built, and has the reports checked by others.

imgtool signs MCUboot images, esptool and espsecure make ESP-IDF images, also as UF2; the assessment
must tell the signed from the unsigned ones. The JSON report is checked against its schema by jsonschema, the
SARIF report by the validator of the SARIF SDK (npm, pinned). Each checker is also given a damaged
report, so that one which finds nothing is noticed.
"""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("RINGFORT_BUILD", ROOT / "target" / "debug"))
SCHEMA = json.loads((ROOT / "assess/data/assessment.schema.json").read_text())
VALIDATOR = "@microsoft/sarif-multitool", "5.7.0"


def quietly(*arguments, **more):
    """Runs a tool; what it said is shown only when it failed."""
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{arguments[0]} failed: {done.stdout}{done.stderr}")
    return done.stdout


def tool(name):
    """A program of this interpreter's environment."""
    return pathlib.Path(sys.executable).parent / name


def risc_v_program():
    """A program for esptool: an ELF file with code and data where an ESP32-C3 has them."""
    parts = [(0x42000020, b"\x13\0\0\0" * 256), (0x3FC80000, b"hello\0\0\0" * 32)]
    names = b"\0.text\0.data\0.shstrtab\0"
    start = 52 + 32 * len(parts)
    body = b"".join(data for _, data in parts)
    programs, sections, at = b"", struct.pack("<10I", *[0] * 10), start
    for (address, data), (name, flags) in zip(parts, [(1, 6), (7, 3)]):
        programs += struct.pack("<8I", 1, at, address, address, len(data), len(data), 5, 4)
        sections += struct.pack("<10I", name, 1, flags, address, at, len(data), 0, 0, 4, 0)
        at += len(data)
    sections += struct.pack("<10I", 13, 3, 0, 0, at, len(names), 0, 0, 1, 0)
    head = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", 2, 243, 1, 0x42000020, 52, at + len(names), 0, 52, 32, 2, 40, 4, 3)
    return head + programs + body + names + sections


def make_images(folder):
    """Image name to the rules that must be found in it, of U-008 (unsigned) and U-010 (no counter)."""
    (folder / "app.bin").write_bytes(bytes(i * 7 % 251 for i in range(4096)))
    key = folder / "sign.key"
    quietly(tool("imgtool"), "keygen", "-k", key, "-t", "ecdsa-p256")
    common = ["--align", "4", "-v", "1.2.3", "-H", "0x200", "--pad-header", "-S", "0x20000"]
    for name, options in [
        ("mcuboot-bare", []),
        ("mcuboot-signed", ["-k", key]),
        ("mcuboot-counted", ["-k", key, "--security-counter", "5"]),
    ]:
        quietly(tool("imgtool"), "sign", *options, *common, folder / "app.bin", folder / name)
    (folder / "app.elf").write_bytes(risc_v_program())
    bare, signed, esp_key = folder / "esp-bare", folder / "esp-signed", folder / "esp.key"
    quietly(tool("esptool"), "--chip", "esp32c3", "elf2image", "-o", bare, folder / "app.elf")
    quietly(tool("espsecure"), "generate-signing-key", "--version", "2", "--scheme", "rsa3072", esp_key)
    quietly(
        tool("espsecure"), "sign-data", "--version", "2", "--keyfile", esp_key, "--output", signed, bare
    )
    # UF2 as Espressif's tool writes it: blocks with an MD5 each, the image and a key behind it.
    uf2 = ["merge-bin", "--format", "uf2", "-o", folder / "esp.uf2", "0x10000", bare, "0x80000", key]
    quietly(tool("esptool"), "--chip", "esp32c3", *uf2)
    return {
        "esp.uf2": {"U-008"},
        "mcuboot-bare": {"U-008", "U-010"},
        "mcuboot-signed": {"U-010"},
        "mcuboot-counted": set(),
        "esp-bare": {"U-008"},
        "esp-signed": set(),
        # Examples of the draft, made by its authors.
        ROOT / "formats/suit/testdata/example0-signed.suit": set(),
        ROOT / "formats/suit/testdata/example0-unsigned.suit": {"U-008"},
    }


def assess(inputs, out):
    """The JSON report; exit codes above 1 are no findings but failures."""
    command = [BUILD / "ringfort", "assess", *inputs, "--out", out]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode in (0, 1, 3), done.stderr
    return json.loads((out / "assessment.json").read_text())


def follows_schema(report):
    try:
        jsonschema.validate(report, SCHEMA, cls=jsonschema.Draft202012Validator)
    except jsonschema.ValidationError:
        return False
    return True


def sarif_validator():
    """The validator, installed once per machine."""
    name, version = VALIDATOR
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    folder = cache / "ringfort" / f"sarif-multitool-{version}"
    program = folder / "node_modules/.bin/sarif-multitool"
    if not program.exists():
        new = folder.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        install = ["npm", "install", "--silent", "--fetch-retries", "5", "--prefix", new]
        for pause in (5, 20, 60):  # a registry may have a bad moment
            done = subprocess.run([*install, f"{name}@{version}"], capture_output=True)
            if done.returncode == 0:
                break
            time.sleep(pause)
        else:
            quietly(*install, f"{name}@{version}")
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    return program


def sarif_errors(validator, report, folder):
    """What the validator calls an error; its advice on style is left to the reader."""
    out = folder / "validated.sarif"
    subprocess.run(
        [validator, "validate", report, "--output", out, "--log", "ForceOverwrite"],
        capture_output=True,
        check=False,
    )
    results = json.loads(out.read_text(encoding="utf-8-sig"))["runs"][0].get("results", [])
    return [each for each in results if each.get("level") == "error"]


def main():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for image, expected in make_images(folder).items():
            report = assess([folder / image], folder / "one")
            found = {each["rule"] for each in report["findings"]} & {"U-008", "U-010"}
            assert found == expected, f"{image}: {found}"
            assert report["inputs"][0]["opened"], f"{image} was not recognised"
        uf2 = assess([folder / "esp.uf2"], folder / "one")
        assert uf2["inputs"][0]["opened"].keys() >= {"uf2", "esp-image"}, uf2["inputs"][0]["opened"]
        keys = [each for each in uf2["findings"] if each["rule"] == "K-002"]
        assert keys and "!uf2@0x0!" in keys[0]["locations"][0]["path"], uf2["findings"]
        report = assess([folder, folder / "mcuboot-bare", folder / "esp-bare"], folder / "all")
        assert len(report["findings"]) > 3 and report["comparisons"]
        assert follows_schema(report)
        assert not follows_schema({**report, "exit": 7})
        validator = sarif_validator()
        sarif = folder / "all/assessment.sarif"
        errors = sarif_errors(validator, sarif, folder)
        assert not errors, json.dumps(errors[:3], indent=1)
        damaged = json.loads(sarif.read_text())
        del damaged["runs"][0]["results"][0]["message"]
        (folder / "damaged.sarif").write_text(json.dumps(damaged))
        assert sarif_errors(validator, folder / "damaged.sarif", folder), "the validator finds nothing"
    print("images of imgtool, esptool and the SUIT draft; JSON and SARIF accepted")


if __name__ == "__main__":
    main()
