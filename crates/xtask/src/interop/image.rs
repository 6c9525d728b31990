//! What the guest boots: a kernel of Debian's, and an initramfs with this very program.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Result, cpio::Archive};

/// The modules that the guest needs; those that they need are found.
const MODULES: [&str; 8] = [
    "virtio_pci",
    "virtio_net",
    "virtio_console",
    "ghash-generic",
    "ctr",
    "gcm",
    "8021q",
    "macsec",
];

pub(super) const IP: &str = "/usr/sbin/ip";
pub(super) const SUPPLICANT: &str = "/usr/sbin/wpa_supplicant";

/// The files to boot from.
pub(super) struct Image {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
    /// The kernel's version.
    pub(super) version: String,
    /// Whether there is a wpa_supplicant in it.
    pub(super) has_supplicant: bool,
}

impl Image {
    /// Makes the files in `directory`, from the kernel package unpacked in `directory/linux` and the
    /// guest's files in `source`.
    pub(super) fn build(directory: &Path, source: &Path) -> Result<Self> {
        let linux = directory.join("linux");
        let [modules] = &entries(&linux.join("lib/modules"))?[..] else {
            return Err(format!("{}: not one kernel: {PREPARE}", linux.display()).into());
        };
        let version = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kernel = kernel(&linux.join(format!("boot/vmlinuz-{version}")), directory)?;
        let initramfs = directory.join("initramfs.cpio");
        fs::write(&initramfs, initramfs_of(modules, source, directory)?)?;
        Ok(Self { kernel, initramfs, version, has_supplicant: Path::new(SUPPLICANT).exists() })
    }
}

const PREPARE: &str = "run `.ci/interop-kernel --prepare` first";

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)
        .map_err(|error| format!("{}: {error}: {PREPARE}", directory.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The kernel without its wrapping, if we know how to take it off: QEMU starts it at once, and the guest
/// need not unpack it, which saves seconds. What we cannot unwrap boots too.
fn kernel(packed: &Path, directory: &Path) -> Result<PathBuf> {
    let unpacked = directory.join("vmlinux");
    let image = fs::read(packed).map_err(|e| format!("{}: {e}: {PREPARE}", packed.display()))?;
    let Some((program, payload)) = payload(&image) else {
        return Ok(packed.to_owned());
    };
    let Ok(mut child) = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(File::create(&unpacked)?)
        .spawn()
    else {
        return Ok(packed.to_owned());
    };
    child.stdin.take().ok_or("no standard input")?.write_all(payload)?;
    if !child.wait()?.success() {
        return Err(format!("{program} cannot unpack {}", packed.display()).into());
    }
    Ok(unpacked)
}

/// The packed kernel within a bzImage, and the program that unpacks it (the boot protocol of x86).
fn payload(image: &[u8]) -> Option<(&'static str, &[u8])> {
    let word = |at: usize| {
        image.get(at..)?.first_chunk().map(|octets| u32::from_le_bytes(*octets) as usize)
    };
    let sectors = usize::from(*image.get(0x1f1)?);
    let start = (sectors + 1) * 512 + word(0x248)?;
    // The length of the unpacked kernel follows, which no program expects.
    let payload = image.get(start..start + word(0x24c)?.checked_sub(4)?)?;
    let program = match payload {
        [0x02, 0x21, 0x4c, 0x18, ..] => "lz4",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0xfd, 0x37, 0x7a, 0x58, 0x5a, ..] => "xz",
        _ => return None,
    };
    Some((program, payload))
}

fn initramfs_of(modules: &Path, source: &Path, directory: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for mount_point in ["/proc", "/sys", "/dev"] {
        archive.directory(mount_point);
    }
    archive.copy("/init", &source.join("init"))?;
    archive.copy("/bin/busybox", Path::new("/bin/busybox"))?;
    let mut list = String::new();
    let text = |name| fs::read_to_string(modules.join(name));
    for module in load_order(&text("modules.dep")?, &text("modules.builtin")?)? {
        let path = modules.join(&module);
        // Newer kernels have theirs packed, which takes more than busybox to load.
        match module.strip_suffix(".xz") {
            Some(name) => {
                let content = run(Command::new("xz").arg("-dc").arg(&path))?;
                archive.file(&format!("/modules.d/{name}"), &content);
                list += &format!("/modules.d/{name}\n");
            }
            None => {
                archive.copy(&format!("/modules.d/{module}"), &path)?;
                list += &format!("/modules.d/{module}\n");
            }
        }
    }
    archive.file("/modules", list.as_bytes());

    let agent = directory.join("agent");
    let program = std::env::current_exe()?;
    run(Command::new("strip").arg("-o").arg(&agent).arg(&program))?;
    archive.copy("/agent", &agent)?;
    let mut programs = vec![program.as_path(), Path::new(IP)];
    programs.extend(Some(Path::new(SUPPLICANT)).filter(|path| path.exists()));
    for path in &programs[1..] {
        archive.copy(&path.to_string_lossy(), path)?;
    }
    for library in libraries(&programs)? {
        archive.copy(&library, Path::new(&library))?;
    }
    Ok(archive.finish())
}

/// The modules to load, each behind those that it needs, from the texts of `modules.dep` and
/// `modules.builtin`.
fn load_order(dependencies: &str, built_in: &str) -> Result<Vec<String>> {
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        let file = format!("/{module}.ko");
        if built_in.lines().any(|path| path.ends_with(&file)) {
            continue;
        }
        let line = dependencies.lines().find_map(|line| {
            let (path, needs) = line.split_once(':')?;
            path.trim_end_matches(".xz").ends_with(&file).then_some((path, needs))
        });
        let (path, needs) = line.ok_or_else(|| format!("the kernel has no module {module}"))?;
        // depmod writes what must be loaded first last.
        for module in needs.split_whitespace().rev().chain([path]) {
            if !order.iter().any(|known| known == module) {
                order.push(module.to_owned());
            }
        }
    }
    Ok(order)
}

/// The shared libraries of some programs, by `ldd`.
fn libraries(programs: &[&Path]) -> Result<BTreeSet<String>> {
    let text = String::from_utf8(run(Command::new("ldd").args(programs))?)?;
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    // The headings are the programs themselves.
    Ok(paths.filter(|path| !path.ends_with(':')).map(str::to_owned).collect())
}

/// Runs a program, and returns what it writes.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{name}: {error}: {PREPARE}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", output.status).into());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_behind_what_they_need() {
        let mut text =
            String::from("kernel/a/macsec.ko.xz: kernel/c.ko kernel/b.ko\nkernel/b.ko:\n");
        text += "kernel/c.ko: kernel/b.ko\n";
        for module in &MODULES[1..7] {
            text += &format!("kernel/{module}.ko: kernel/b.ko\n");
        }
        let order = load_order(&text, "kernel/virtio_pci.ko\n").unwrap();
        assert_eq!(order[0], "kernel/b.ko");
        assert_eq!(order[order.len() - 2..], ["kernel/c.ko", "kernel/a/macsec.ko.xz"]);
        assert_eq!(order.len(), MODULES.len() + 1, "b and c, and all but the one that is built in");
        assert!(load_order("", "").is_err());
    }
}
