use procfs::Current as _;

/// What is this machine's own, such as its `localhost`, with the machine's name, where others may have one of the same words.
#[must_use]
pub fn of_this_machine(words: &str) -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{words} of {}", machine.trim())
}

/// The machine in a line: processors, memory, system.
#[must_use]
pub fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let model = procfs::CpuInfo::current().ok().and_then(|info| info.model_name(0).map(str::to_owned));
    let memory = procfs::Meminfo::current().ok().map(|info| format!(", {} MiB memory", info.mem_total >> 20));
    let system = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{processors} × {}{}, {} {} {}",
        model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        memory.unwrap_or_default(),
        std::env::consts::OS,
        system.trim(),
        std::env::consts::ARCH
    )
}
