//! Compiles, links twice, places and packs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::check::{Product, Resolved};
use crate::elf::{self, Elf};
use crate::manifest::Range;
use crate::place::{self, GATEWAY, Measured, Placed};
use crate::{c, rust, script};

/// The target of Rust partitions and of the manager.
pub const TARGET: &str = "thumbv8m.main-none-eabi";
/// What C is compiled with, here and in docs/porting.md: a Cortex-M33 without its options, so that
/// one object runs on both boards.
pub const C_FLAGS: &[&str] = &[
    "-mcpu=cortex-m33+nodsp",
    "-mthumb",
    "-mfloat-abi=soft",
    "-Os",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
];

/// The service behind `psa/update.h`, by its name in the manifest.
const UPDATE: &str = "FIRMWARE_UPDATE";

/// What to build and where.
pub struct Build {
    /// The manifest.
    pub manifest: PathBuf,
    /// Where the results go.
    pub out: PathBuf,
    /// The firmware workspace.
    pub workspace: PathBuf,
    /// Cargo's folder for the target.
    pub target: PathBuf,
}

/// Sizes of what was built, in bytes.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// The manager's code and tables, and its RAM.
    pub manager: [u32; 2],
    /// Name, code, data and stack of each partition.
    pub partitions: Vec<(String, [u32; 3])>,
    /// The packed image.
    pub image: u32,
}

impl Sizes {
    /// Name, code, data and stack, one a line; the manager's data holds its stacks.
    pub fn lines(&self) -> String {
        let [code, ram] = self.manager;
        let mut lines = format!("manager {code} {ram} 0\n");
        for (name, [code, data, stack]) in &self.partitions {
            lines += &format!("{name} {code} {data} {stack}\n");
        }
        lines
    }
}

type Done<T> = Result<T, String>;

impl Build {
    /// Headers and names only: what has to be there before anything can be compiled.
    ///
    /// # Errors
    /// What is wrong with the manifest or could not be written.
    pub fn prepare(&self) -> Done<Product> {
        let product = Product::read(&self.manifest).map_err(|refusal| refusal.to_string())?;
        for (path, text) in c::headers(&product) {
            write(&self.out.join("include").join(path), text.as_bytes())?;
        }
        write(&self.out.join("names.rs"), rust::names(&product).as_bytes())?;
        Ok(product)
    }

    /// The whole secure image: `secure.bin` as it lies in memory, `secure.elf` for an emulator
    /// without boot loader, `libringfort_ns.a` and its headers.
    ///
    /// # Errors
    /// What a compiler or linker said, or the manifest's mistake.
    pub fn all(&self) -> Done<Sizes> {
        let product = self.prepare()?;
        self.packages(&product)?;
        let inputs: Vec<Vec<OsString>> =
            product.partitions.iter().map(|p| self.inputs(p)).collect::<Done<_>>()?;
        let map = &product.board.memory;
        let mut measured = Vec::new();
        for (p, files) in product.partitions.iter().zip(&inputs) {
            let anywhere = Placed { code: map.secure_code, ram: map.secure_ram };
            measured.push(measure(&self.link(p, files, &anywhere, "measured")?, &anywhere, p));
        }
        let placed = product.place(&measured).map_err(|refusal| refusal.to_string())?;
        let mut elves = Vec::new();
        for (((p, files), at), first) in
            product.partitions.iter().zip(&inputs).zip(&placed).zip(&measured)
        {
            let elf = self.link(p, files, at, "placed")?;
            let again = measure(&elf, at, p);
            if again.code > first.code || again.data > first.data {
                let name = p.partition.name.get_ref();
                return Err(format!("{name}: {first:?} when measured, {again:?} when placed"));
            }
            elves.push(elf);
        }
        write(&self.out.join("tables.rs"), rust::tables(&product, &placed, &elves).as_bytes())?;
        write(&self.out.join("stacks.txt"), stacks(&product, &placed).as_bytes())?;
        write(&self.out.join("memory.ld"), script::manager(&product).as_bytes())?;
        let manager = self.manager()?;
        let image = pack(map.secure_code, &manager, &elves);
        write(&self.out.join("secure.bin"), &image)?;
        let alone = elf::wrap(&[(map.secure_code.base, image.as_slice())], manager.entry);
        write(&self.out.join("component.elf"), &alone)?;
        let start: Vec<u8> = image.iter().take(8).copied().collect();
        let vectors = (0x1000_0000, start.as_slice());
        let pieces = [vectors, (map.secure_code.base, image.as_slice())];
        write(&self.out.join("secure.elf"), &elf::wrap(&pieces, manager.entry))?;
        let end = |name: &str| manager.symbol(name).unwrap_or_default();
        let sizes = Sizes {
            manager: [
                end("__spm_code_end") - map.secure_code.base,
                end("__spm_ram_end") - map.secure_ram.base,
            ],
            partitions: product
                .partitions
                .iter()
                .zip(&measured)
                .map(|(p, size)| {
                    let own = &p.partition;
                    let stack = *own.stack_bytes.get_ref();
                    (own.name.get_ref().clone(), [size.code, size.data, stack])
                })
                .collect(),
            image: image.len() as u32,
        };
        write(&self.out.join("sizes.txt"), sizes.lines().as_bytes())?;
        Ok(sizes)
    }

    /// The C library of non-secure applications.
    ///
    /// # Errors
    /// What the compiler said.
    pub fn nonsecure_library(&self, product: &Product) -> Done<PathBuf> {
        let gateway = product.board.memory.secure_code.base + GATEWAY.base;
        let define = format!("-DRINGFORT_GATEWAY={gateway:#x}");
        // Firmware update by its standard calls, where the product has the service.
        let updates = product.service(UPDATE).is_some();
        let mut objects = Vec::new();
        for name in ["nonsecure", "update"].into_iter().take(if updates { 2 } else { 1 }) {
            let source = self.workspace.join(format!("c/lib/{name}.c"));
            let flags = [define.clone().into()];
            objects.push(self.compile("nonsecure-library", &source, &flags)?);
        }
        self.archive("libringfort_ns.a", &objects)
    }

    fn packages(&self, product: &Product) -> Done<()> {
        for p in &product.partitions {
            let own = &p.partition;
            let Some(name) = &own.package else { continue };
            // Asked for as a static library and nothing else, it is optimised as a whole.
            let mut command = self.cargo("rustc");
            command.args(["--package", name.get_ref(), "--lib", "--crate-type", "staticlib"]);
            for feature in &own.features {
                command.args(["--features", feature]);
            }
            command.env("RINGFORT_NAMES", self.out.join("names.rs"));
            run(&mut command)?;
        }
        Ok(())
    }

    fn manager(&self) -> Done<Elf> {
        let mut command = self.cargo("build");
        command.args(["--package", "spm", "--bin", "spm", "--features", "target"]);
        command.env("RINGFORT_TABLES", &self.out);
        run(&mut command)?;
        Elf::parse(read(&self.built("spm"))?)
    }

    fn cargo(&self, what: &str) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(&self.workspace)
            .args([what, "--quiet", "--locked", "--release", "--target", TARGET, "--target-dir"])
            .arg(&self.target);
        command
    }

    fn built(&self, name: &str) -> PathBuf {
        self.target.join(TARGET).join("release").join(name)
    }

    /// Everything that a partition is linked of.
    fn inputs(&self, p: &Resolved) -> Done<Vec<OsString>> {
        let own = &p.partition;
        let folder = self.manifest.parent().unwrap_or(Path::new(""));
        let mut files: Vec<OsString> = Vec::new();
        for source in &own.sources {
            let mut flags: Vec<OsString> =
                own.define.iter().map(|define| format!("-D{define}").into()).collect();
            for include in &own.include {
                flags.push("-I".into());
                flags.push(folder.join(include).into());
            }
            let path = folder.join(source.get_ref());
            files.push(self.compile(own.name.get_ref(), &path, &flags)?.into());
        }
        files.extend(own.objects.iter().map(|object| folder.join(object.get_ref()).into()));
        if let Some(package) = &own.package {
            files.push(self.built(&format!("lib{}.a", package.get_ref().replace('-', "_"))).into());
        } else {
            let stubs = self.workspace.join("c/lib/partition.S");
            files.push(self.compile("partition-library", &stubs, &[])?.into());
            for name in ["partition", "heap"] {
                let source = self.workspace.join(format!("c/lib/{name}.c"));
                files.push(self.compile("partition-library", &source, &[])?.into());
            }
        }
        if own.newlib {
            files.push(library("libc.a")?);
        }
        if own.newlib || own.package.is_none() {
            files.push(library("libgcc.a")?);
        }
        Ok(files)
    }

    fn compile(&self, unit: &str, source: &Path, flags: &[OsString]) -> Done<PathBuf> {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let kind = source.extension().unwrap_or_default().to_string_lossy().into_owned();
        let object = self.out.join("objects").join(unit).join(format!("{stem}.{kind}.o"));
        make_parent(&object)?;
        let mut command = Command::new("arm-none-eabi-gcc");
        command
            .args(C_FLAGS)
            .arg("-I")
            .arg(self.out.join("include"))
            .arg("-I")
            .arg(self.workspace.join("c/include"))
            .args(flags)
            .arg("-c")
            .arg(source)
            .arg("-o")
            .arg(&object);
        run(&mut command)?;
        Ok(object)
    }

    fn archive(&self, name: &str, objects: &[PathBuf]) -> Done<PathBuf> {
        let path = self.out.join("lib").join(name);
        make_parent(&path)?;
        let _ = std::fs::remove_file(&path);
        run(Command::new("arm-none-eabi-ar").arg("crD").arg(&path).args(objects))?;
        Ok(path)
    }

    fn link(&self, p: &Resolved, files: &[OsString], at: &Placed, step: &str) -> Done<Elf> {
        let own = &p.partition;
        let name = own.name.get_ref();
        let folder = self.out.join("partitions");
        let script = folder.join(format!("{name}.{step}.ld"));
        let text = script::partition(at, *own.stack_bytes.get_ref(), own.heap_bytes, &own.entry);
        write(&script, text.as_bytes())?;
        let output = folder.join(format!("{name}.{step}.elf"));
        let mut command = Command::new(linker()?);
        command
            .args(["-flavor", "gnu", "--gc-sections", "--no-dynamic-linker", "-z", "norelro"])
            .args(["-z", "max-page-size=32", "--entry", &own.entry, "--undefined", &own.entry])
            .arg("-T")
            .arg(&script)
            .arg("--start-group")
            .args(files)
            .arg("--end-group")
            .arg("-o")
            .arg(&output);
        run(&mut command)?;
        Elf::parse(read(&output)?).map_err(|error| format!("{name}: {error}"))
    }
}

/// What a link used of code and of data.
fn measure(elf: &Elf, at: &Placed, p: &Resolved) -> Measured {
    let stack = *p.partition.stack_bytes.get_ref();
    let mut used = Measured::default();
    for segment in &elf.segments {
        let (load_end, end) = (segment.load + segment.file.len() as u32, segment.at + segment.size);
        if !segment.file.is_empty() {
            used.code = used.code.max(load_end - at.code.base);
        }
        if holds(at.ram, segment.at) {
            used.data = used.data.max(end - at.ram.base - stack);
        }
    }
    used
}

/// Name, first address and bytes of every stack, one a line.
fn stacks(product: &Product, placed: &[Placed]) -> String {
    let manager = product.manifest.manager.stack_bytes.get_ref();
    let ram = product.board.memory.secure_ram.base;
    let mut lines = format!("manager {ram} {manager}\n");
    lines += &format!("gateway {} {}\n", ram + manager.next_multiple_of(32), place::AGENT_STACK);
    for (p, at) in product.partitions.iter().zip(placed) {
        let (name, bytes) = (p.partition.name.get_ref(), p.partition.stack_bytes.get_ref());
        lines += &format!("{name} {} {bytes}\n", at.ram.base);
    }
    lines
}

fn holds(range: Range, at: u32) -> bool {
    at.wrapping_sub(range.base) < range.size
}

fn pack(base: Range, manager: &Elf, partitions: &[Elf]) -> Vec<u8> {
    let mut image = manager.image(base.base);
    for elf in partitions {
        for segment in elf.segments.iter().filter(|s| !s.file.is_empty()) {
            elf::put(&mut image, (segment.load - base.base) as usize, elf.bytes(segment));
        }
    }
    image.resize(image.len().next_multiple_of(8), 0);
    image
}

/// The linker that cargo is told to use for the target, else the one that the Rust toolchain brings:
/// the same for Rust and for C.
fn linker() -> Done<PathBuf> {
    if let Some(told) = std::env::var_os("CARGO_TARGET_THUMBV8M_MAIN_NONE_EABI_LINKER") {
        return Ok(told.into());
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = run(Command::new(&rustc).args(["--print", "sysroot"]))?;
    let about = run(Command::new(&rustc).arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    Ok(Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/rust-lld"))
}

/// A library of the C compiler, for the options that everything is compiled with.
fn library(name: &str) -> Done<OsString> {
    let mut command = Command::new("arm-none-eabi-gcc");
    let path = run(command.args(C_FLAGS).arg(format!("-print-file-name={name}")))?;
    Ok(path.trim().into())
}

fn run(command: &mut Command) -> Done<String> {
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{said}", output.status))
}

fn read(path: &Path) -> Done<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Done<()> {
    make_parent(path)?;
    // An unchanged file keeps its time: nothing is built anew for it.
    if std::fs::read(path).is_ok_and(|have| have == bytes) {
        return Ok(());
    }
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn make_parent(path: &Path) -> Done<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}
