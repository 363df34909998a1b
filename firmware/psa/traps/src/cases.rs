//! Every case: its name, how it ends, and what the secure console says. The application and the
//! runner on the host read the same table.

/// How an attack ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The call returns, refused or harmless, and the application goes on.
    Returns,
    /// The non-secure side is started anew.
    Restarts,
    /// The device resets, and everything starts anew.
    Resets,
}

/// A case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What is refused, or shown.
    pub name: &'static str,
    /// How it ends.
    pub end: End,
    /// What stands on the secure console; empty where nothing is reported.
    pub console: &'static str,
    /// Partition id and cause in the failure record; (0, 0) where nothing fails.
    pub failure: (i32, u32),
    /// For a case of the rogue partition: message type and argument.
    pub rogue: Option<(i32, u32)>,
}

const fn case(name: &'static str, end: End, console: &'static str, failure: (i32, u32)) -> Case {
    Case { name, end, console, failure, rogue: None }
}

/// The non-secure side works with what it may not have.
const fn fault(name: &'static str, console: &'static str) -> Case {
    case(name, End::Restarts, console, (-1, 7))
}

/// A call that is refused, or works as it should.
const fn call(name: &'static str, console: &'static str) -> Case {
    case(name, End::Returns, console, (0, 0))
}

/// The rogue partition does something and is restarted.
const fn rogue(
    name: &'static str,
    kind: i32,
    argument: u32,
    cause: u32,
    console: &'static str,
) -> Case {
    Case { name, end: End::Returns, console, failure: (258, cause), rogue: Some((kind, argument)) }
}

const MEMORY: u32 = 3;
const BUS: u32 = 4;
const USAGE: u32 = 5;
const STACK: u32 = 6;
const SECURE: u32 = 7;
const DEADLINE: u32 = 8;
const CALL: u32 = 2;
const PANIC: u32 = 1;

/// RAM of the most urgent partition, `ticker`: the first that the generator places.
const NEIGHBOUR_RAM: u32 = 0x3800_a800;
/// Its code.
const NEIGHBOUR_CODE: u32 = 0x1002_4000;
const MANAGER_RAM: u32 = 0x3800_9000;
const MANAGER_CODE: u32 = 0x1002_0800;

/// All of them, in the order in which they run.
pub const CASES: &[Case] = &[
    call("services_answer", "spm: ready"),
    // The border.
    fault(
        "nonsecure_read_of_secure_code",
        "fault nonsecure SecureFault cfsr=00000000 sfsr=00000008",
    ),
    fault(
        "nonsecure_read_of_secure_ram",
        "fault nonsecure SecureFault cfsr=00000000 sfsr=00000008",
    ),
    fault(
        "nonsecure_write_of_secure_ram",
        "fault nonsecure SecureFault cfsr=00000000 sfsr=00000008",
    ),
    fault("nonsecure_read_of_secure_memory_by_its_alias", "fault nonsecure SecureFault"),
    fault("nonsecure_read_of_flash", "fault nonsecure SecureFault"),
    fault("nonsecure_read_of_the_hand_off", "fault nonsecure SecureFault"),
    fault("nonsecure_read_of_secure_peripheral", "fault nonsecure SecureFault"),
    call(
        "nonsecure_read_of_secure_peripheral_by_its_alias",
        "refused at the peripheral controller which=00000020",
    ),
    call("nonsecure_dma_out_of_reach", "refused at the peripheral controller which=00200000"),
    fault("nonsecure_write_of_the_sau", "fault nonsecure SecureFault"),
    fault("nonsecure_write_of_the_secure_mpu", "fault nonsecure SecureFault"),
    fault("nonsecure_write_of_the_secure_vectors", "fault nonsecure SecureFault"),
    call("nonsecure_reset_request_ignored", ""),
    // The one way that this side has to reset the device: the boards have no gate before it.
    case("nonsecure_watchdog_resets_the_device", End::Resets, "", (0, 0)),
    fault("jump_past_a_veneer", "fault nonsecure SecureFault cfsr=00000000 sfsr=00000001"),
    fault("jump_to_a_gateway_stub", "fault nonsecure SecureFault cfsr=00000000 sfsr=00000001"),
    fault("jump_into_the_manager", "fault nonsecure SecureFault cfsr=00000000 sfsr=00000001"),
    fault("return_address_in_secure_memory", "fault nonsecure SecureFault"),
    fault(
        "forged_exc_return_of_the_wrong_kind",
        "fault nonsecure SecureFault cfsr=00000000 sfsr=00000004",
    ),
    fault(
        "forged_exc_return_into_the_sealed_thread_stack",
        "fault nonsecure SecureFault cfsr=00000000 sfsr=00000002",
    ),
    fault(
        "forged_exc_return_into_the_sealed_main_stack",
        "fault nonsecure SecureFault cfsr=00000000 sfsr=00000002",
    ),
    fault("forged_exc_return_to_a_secure_handler", "fault nonsecure SecureFault"),
    case(
        "nonsecure_undefined_instruction",
        End::Restarts,
        "fault nonsecure HardFault",
        (-1, USAGE),
    ),
    // The gateway.
    call("calls_from_a_nonsecure_handler", ""),
    call("calls_with_nonsecure_masks_set", ""),
    call("vectors_in_secure_memory", "refused nonsecure call=00000003"),
    call("vectors_straddling_a_region", "refused nonsecure call=00000003"),
    call("vectors_in_devices", "refused nonsecure call=00000003"),
    call("vector_lengths_that_overflow", "refused nonsecure call=00000003"),
    call("descriptors_out_of_place", "refused nonsecure call=00000003"),
    call("too_many_vectors", "refused nonsecure call=00000003"),
    call("unprivileged_caller_with_privileged_memory", "refused nonsecure call=00000003"),
    call("descriptors_changed_after_the_check", ""),
    call("stale_and_foreign_handles", "refused nonsecure call=00000003"),
    call("version_and_strictness", "refused nonsecure call=00000002"),
    call("services_not_for_the_nonsecure_side", "refused nonsecure call=00000002"),
    call("negative_types", "refused nonsecure call=00000003"),
    call("connection_to_a_stateless_service", "refused nonsecure call=00000002"),
    call("slots_run_out", ""),
    call("condemned_connection", "refused nonsecure call=00000003"),
    call("failure_record_out_of_place", "refused nonsecure call=00000005"),
    call("registers_cleared_on_return", ""),
    call("floating_point_registers_kept_and_clean", ""),
    call("threads_with_a_lock", ""),
    call("threads_without_a_lock", "spm: busy"),
    call("interrupts_during_calls", ""),
    call("connections_keep_their_word", ""),
    call("calls_through_a_partition", ""),
    call("secure_interrupt_reaches_its_partition", "partition in C"),
    case("status_survives_a_warm_reset", End::Resets, "spm: before the reset", (258, PANIC)),
    call("memory_of_a_heap_is_given_and_taken_back", "partition in C"),
    case("free_of_what_is_no_memory", End::Resets, "resets for ticker", (259, PANIC)),
    case("service_dies_during_the_call", End::Returns, "restarted echo", (256, PANIC)),
    case("service_hangs_during_the_call", End::Returns, "restarted echo", (256, DEADLINE)),
    case("restarts_run_out", End::Returns, "stopped rogue", (258, PANIC)),
    // Partitions.
    call("rogue_that_behaves", ""),
    rogue(
        "partition_reads_a_neighbour",
        1,
        NEIGHBOUR_RAM,
        MEMORY,
        "fault rogue MemManage cfsr=00000082 sfsr=00000000 address=3800a800",
    ),
    rogue(
        "partition_writes_a_neighbour",
        2,
        NEIGHBOUR_RAM,
        MEMORY,
        "fault rogue MemManage cfsr=00000082",
    ),
    rogue("partition_reads_a_neighbours_code", 1, NEIGHBOUR_CODE, MEMORY, "fault rogue MemManage"),
    rogue(
        "partition_runs_a_neighbours_code",
        3,
        NEIGHBOUR_CODE,
        MEMORY,
        "fault rogue MemManage cfsr=00000001",
    ),
    rogue(
        "partition_reads_the_manager",
        1,
        MANAGER_RAM,
        MEMORY,
        "fault rogue MemManage cfsr=00000082",
    ),
    rogue("partition_writes_the_manager", 2, MANAGER_RAM + 0x900, MEMORY, "fault rogue MemManage"),
    rogue(
        "partition_runs_the_manager",
        3,
        MANAGER_CODE,
        MEMORY,
        "fault rogue MemManage cfsr=00000001",
    ),
    rogue("partition_reads_the_hand_off", 1, 0x3800_3000, MEMORY, "fault rogue MemManage"),
    rogue("partition_reads_flash", 1, 0x8000_0000, MEMORY, "fault rogue MemManage"),
    rogue("partition_reads_nonsecure_memory", 1, 0x2820_1000, MEMORY, "fault rogue MemManage"),
    rogue("partition_writes_its_own_code", 2, 0x1002_4c00, MEMORY, "fault rogue MemManage"),
    rogue(
        "partition_runs_its_own_data",
        3,
        0x3800_b200,
        MEMORY,
        "fault rogue MemManage cfsr=00000001",
    ),
    rogue("partition_reads_anothers_registers", 1, 0x5000_1000, MEMORY, "fault rogue MemManage"),
    rogue("partition_reads_the_console", 1, 0x5020_0000, MEMORY, "fault rogue MemManage"),
    rogue(
        "partition_writes_the_mpu",
        2,
        0xe000_ed94,
        BUS,
        "fault rogue BusFault cfsr=00008200 sfsr=00000000 address=e000ed94",
    ),
    rogue("partition_writes_the_sau", 2, 0xe000_edd0, BUS, "fault rogue BusFault"),
    rogue("partition_writes_the_vectors", 2, 0xe000_ed08, BUS, "fault rogue BusFault"),
    rogue("partition_writes_the_interrupt_controller", 2, 0xe000_e100, BUS, "fault rogue BusFault"),
    rogue("partition_writes_a_memory_controller", 2, 0x5800_7000, MEMORY, "fault rogue MemManage"),
    rogue(
        "partition_writes_the_security_controller",
        2,
        0x5008_0014,
        MEMORY,
        "fault rogue MemManage",
    ),
    rogue("partition_programs_dma", 2, 0x5011_0000, MEMORY, "fault rogue MemManage"),
    rogue(
        "partition_runs_undefined_instructions",
        4,
        0,
        USAGE,
        "fault rogue UsageFault cfsr=00010000",
    ),
    rogue("partition_overflows_its_stack", 5, 0, STACK, "fault rogue UsageFault cfsr=00100000"),
    rogue("partition_never_replies", 6, 0, DEADLINE, "restarted rogue cause=00000008"),
    rogue("partition_never_waits", 7, 0, DEADLINE, "restarted rogue cause=00000008"),
    rogue("partition_panics", 8, 0, PANIC, "restarted rogue cause=00000001"),
    rogue("partition_uses_floating_point", 9, 0, USAGE, "fault rogue UsageFault cfsr=00080000"),
    rogue("partition_forges_a_message", 17, 0, CALL, "restarted rogue cause=00000002"),
    rogue(
        "partition_prints_a_neighbours_memory",
        18,
        NEIGHBOUR_RAM,
        CALL,
        "restarted rogue cause=00000002",
    ),
    rogue("partition_prints_the_manager", 18, MANAGER_RAM, CALL, "restarted rogue cause=00000002"),
    rogue("partition_prints_without_end", 19, 0x3800_ae60, CALL, "restarted rogue cause=00000002"),
    rogue(
        "partition_reads_into_a_neighbour",
        20,
        NEIGHBOUR_RAM,
        CALL,
        "restarted rogue cause=00000002",
    ),
    rogue(
        "partition_reads_into_nonsecure_memory",
        20,
        0x2820_1000,
        CALL,
        "restarted rogue cause=00000002",
    ),
    rogue(
        "partition_writes_from_a_neighbour",
        21,
        NEIGHBOUR_RAM,
        CALL,
        "restarted rogue cause=00000002",
    ),
    rogue(
        "partition_writes_from_the_manager",
        21,
        MANAGER_RAM,
        CALL,
        "restarted rogue cause=00000002",
    ),
    rogue(
        "partition_writes_more_than_there_is_room",
        22,
        0,
        CALL,
        "restarted rogue cause=00000002",
    ),
    rogue("partition_names_a_vector_that_is_not", 23, 0, CALL, "restarted rogue cause=00000002"),
    rogue("partition_makes_an_unknown_call", 24, 0, CALL, "restarted rogue cause=00000002"),
    case("partition_replies_twice", End::Returns, "restarted rogue cause=00000002", (258, CALL)),
    rogue(
        "partition_ends_an_interrupt_it_does_not_own",
        26,
        0,
        CALL,
        "restarted rogue cause=00000002",
    ),
    rogue("partition_clears_a_silent_doorbell", 27, 0, CALL, "restarted rogue cause=00000002"),
    rogue("partition_waits_for_nothing", 28, 0, CALL, "restarted rogue cause=00000002"),
    rogue("partition_takes_a_foreign_signal", 29, 0, CALL, "restarted rogue cause=00000002"),
    rogue("partition_resets_without_the_right", 30, 0, CALL, "restarted rogue cause=00000002"),
    rogue("partition_notifies_nobody", 31, 0, CALL, "restarted rogue cause=00000002"),
    rogue("partition_returns_from_its_entry", 34, 0, MEMORY, "fault rogue"),
    rogue("partition_forges_an_exception_return", 35, 0, MEMORY, "fault rogue"),
    call("partition_masks_interrupts_in_vain", ""),
    call("partition_raises_its_privilege_in_vain", ""),
    call("partition_lowers_its_stack_limit_in_vain", ""),
    call("partition_is_no_listed_caller", "refused rogue call=00000002"),
    call("partition_lends_a_neighbours_memory", "refused rogue call=00000003"),
];

/// Advisories of TF-M (TFMV-1 to 9), each with a case of its class: the number, what was wrong
/// there, the case here. Those of `update` and `journal` are in the harness of the update partition
/// and in its own tests.
pub const ADVISORIES: &[(u8, &str, &str)] = &[
    (1, "stacks without a seal", "forged_exc_return_into_the_sealed_thread_stack"),
    (2, "the caller's stack taken for another", "calls_from_a_nonsecure_handler"),
    (3, "an abort that leaves state behind", "update: calls_out_of_their_state"),
    (4, "keys of another client by their id", "stale_and_foreign_handles"),
    (5, "a block longer than its buffer", "update: blocks_out_of_line_tfmv_5"),
    (6, "part of a tag compared", "journal: forged_and_foreign_records_are_not_read"),
    (7, "another's data through the log", "partition_prints_a_neighbours_memory"),
    (8, "a pointer that is not checked", "vectors_in_secure_memory"),
    (9, "a length that is not checked", "update: messages_out_of_shape_tfmv_9"),
];

#[allow(dead_code)]
const _: u32 = SECURE;
