// SPDX-License-Identifier: Apache-2.0
//! The devices of vireo.h in Rust, without a crate: the declarations are written by hand, and each device is
//! an object that owns its storage and its backend. A driver of a few lines stands for the guest.

use std::alloc::{alloc, dealloc, Layout};
use std::ffi::c_void;
use std::mem::size_of;
use std::os::raw::{c_char, c_int};
use std::ptr::{null_mut, NonNull};

// ---- vireo.h, as far as it is used here

type Status = c_int;
const OK: Status = 0;
const PENDING: Status = 5;
const UNKNOWN_TOKEN: Status = 6;
const BAD_STATE: Status = 8;

#[repr(C)]
struct Region {
    guest_address: u64,
    byte_count: u64,
    host: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Segment {
    guest_address: u64,
    byte_count: u32,
    reserved: u32,
    host: *mut c_void,
}

#[repr(C)]
struct DeviceSettings {
    struct_size: usize,
    regions: *const Region,
    region_count: usize,
    interrupt: Option<unsafe extern "C" fn(*mut c_void, c_int)>,
    interrupt_context: *mut c_void,
    withheld_features: u64,
}

#[repr(C)]
struct EntropySettings {
    struct_size: usize,
    fill: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, u32) -> u32>,
    context: *mut c_void,
}

type Transfer = unsafe extern "C" fn(*mut c_void, u64, *const Segment, usize, u32) -> Status;
type Change = unsafe extern "C" fn(*mut c_void, *const c_void, usize, u32) -> Status;

#[repr(C)]
struct BlockSettings {
    struct_size: usize,
    context: *mut c_void,
    sector_count: u64,
    block_size: u32,
    queue_count: u32,
    flags: u32,
    range_sector_count: u32,
    identifier: [c_char; 20],
    read: Option<Transfer>,
    write: Option<unsafe extern "C" fn(*mut c_void, u64, *const Segment, usize, c_int, u32) -> Status>,
    flush: Option<unsafe extern "C" fn(*mut c_void, u32) -> Status>,
    discard: Option<Change>,
    write_zeroes: Option<unsafe extern "C" fn(*mut c_void, *const c_void, usize, c_int, u32) -> Status>,
    secure_erase: Option<Change>,
    cancel: Option<unsafe extern "C" fn(*mut c_void, u32)>,
}
const BLOCK_READ_ONLY: u32 = 1;

#[repr(C)]
struct ConsoleSettings {
    struct_size: usize,
    context: *mut c_void,
    flags: u32,
    columns: u16,
    rows: u16,
    write: Option<unsafe extern "C" fn(*mut c_void, u32, *const c_void, u32) -> u32>,
    has_input: Option<unsafe extern "C" fn(*mut c_void, u32) -> c_int>,
    read: Option<unsafe extern "C" fn(*mut c_void, u32, *mut c_void, u32) -> u32>,
    driver_open: Option<unsafe extern "C" fn(*mut c_void, u32, c_int)>,
    emergency_write: Option<unsafe extern "C" fn(*mut c_void, u8)>,
}

#[repr(C)]
struct Offload {
    kinds: [u8; 4],
    fields: [u16; 4],
}

#[repr(C)]
struct Frame {
    byte_count: u32,
    offload: Offload,
    prefix: [u8; 64],
}

#[repr(C)]
struct NetworkSettings {
    struct_size: usize,
    context: *mut c_void,
    flags: u32,
    mac: [u8; 6],
    mtu: u16,
    transmit_offloads: u32,
    receive_offloads: u32,
    transmit: Option<unsafe extern "C" fn(*mut c_void, *const Segment, usize, *const Offload) -> Status>,
    waiting: Option<unsafe extern "C" fn(*mut c_void, *mut Frame) -> c_int>,
    receive: Option<unsafe extern "C" fn(*mut c_void, *const Segment, usize) -> Status>,
    drop: Option<unsafe extern "C" fn(*mut c_void)>,
    allow_offloads: Option<unsafe extern "C" fn(*mut c_void, u32)>,
}

type Respond = unsafe extern "C" fn(*mut c_void, *const c_void, u32, *mut c_void, u32) -> u32;

#[repr(C)]
struct ScmiSettings {
    struct_size: usize,
    context: *mut c_void,
    flags: u32,
    start: Option<unsafe extern "C" fn(*mut c_void, c_int)>,
    respond: Option<Respond>,
    has_event: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    next_event: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, u32) -> u32>,
    reset: Option<unsafe extern "C" fn(*mut c_void)>,
}

#[repr(C)]
struct Opaque {
    _nothing: [u8; 0],
}

type Create<Settings> = unsafe extern "C" fn(
    *mut c_void,
    usize,
    *const DeviceSettings,
    *const Settings,
    *mut *mut Opaque,
) -> Status;

#[link(name = "vireo", kind = "static")]
extern "C" {
    fn vireo_version() -> u32;
    fn vireo_device_align() -> usize;
    fn vireo_device_read(device: *mut Opaque, offset: u64, byte_count: u32, value: *mut u64) -> Status;
    fn vireo_device_write(device: *mut Opaque, offset: u64, byte_count: u32, value: u64) -> Status;
    fn vireo_device_poll(device: *mut Opaque) -> Status;
    fn vireo_device_save(
        device: *mut Opaque, bytes: *mut c_void, capacity: usize, size: *mut usize,
    ) -> Status;
    fn vireo_device_restore(device: *mut Opaque, bytes: *const c_void, size: usize) -> Status;
    fn vireo_entropy_size() -> usize;
    fn vireo_entropy_create(
        storage: *mut c_void, size: usize, common: *const DeviceSettings, settings: *const EntropySettings,
        device: *mut *mut Opaque,
    ) -> Status;
    fn vireo_block_size() -> usize;
    fn vireo_block_create(
        storage: *mut c_void, size: usize, common: *const DeviceSettings, settings: *const BlockSettings,
        device: *mut *mut Opaque,
    ) -> Status;
    fn vireo_block_complete(device: *mut Opaque, token: u32, result: Status) -> Status;
    fn vireo_console_size() -> usize;
    fn vireo_console_create(
        storage: *mut c_void, size: usize, common: *const DeviceSettings, settings: *const ConsoleSettings,
        device: *mut *mut Opaque,
    ) -> Status;
    fn vireo_network_size() -> usize;
    fn vireo_network_create(
        storage: *mut c_void, size: usize, common: *const DeviceSettings, settings: *const NetworkSettings,
        device: *mut *mut Opaque,
    ) -> Status;
    fn vireo_scmi_device_size() -> usize;
    fn vireo_scmi_device_create(
        storage: *mut c_void, size: usize, common: *const DeviceSettings, settings: *const ScmiSettings,
        device: *mut *mut Opaque,
    ) -> Status;
}

// ---- guest memory

const BASE: u64 = 0x8000_0000;
const SIZE: usize = 0x20000;
const RING_STRIDE: usize = 0x1000;
const AVAILABLE: usize = 0x400;
const USED: usize = 0x800;
const DATA: usize = 0x10000;
const QUEUE_SIZE: usize = 8;

/// Guest RAM. Others write it too, so it is reached by raw pointers alone.
struct Memory(NonNull<u8>);

impl Memory {
    fn layout() -> Layout {
        Layout::from_size_align(SIZE, 4096).unwrap()
    }

    fn new() -> Memory {
        // The layout is not empty.
        let memory = Memory(NonNull::new(unsafe { alloc(Self::layout()) }).expect("memory"));
        memory.fill(0, SIZE, 0);
        memory
    }

    fn at(&self, offset: usize, count: usize) -> *mut u8 {
        assert!(offset + count <= SIZE);
        // Within the allocation.
        unsafe { self.0.as_ptr().add(offset) }
    }

    fn fill(&self, offset: usize, count: usize, byte: u8) {
        unsafe { self.at(offset, count).write_bytes(byte, count) }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        unsafe { self.at(offset, bytes.len()).copy_from(bytes.as_ptr(), bytes.len()) }
    }

    fn read(&self, offset: usize, count: usize) -> Vec<u8> {
        (0..count).map(|i| unsafe { self.at(offset + i, 1).read() }).collect()
    }

    fn load16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.read(offset, 2).try_into().unwrap())
    }

    fn load32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.read(offset, 4).try_into().unwrap())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        unsafe { dealloc(self.0.as_ptr(), Self::layout()) }
    }
}

// ---- devices

/// What callbacks get: the level of the line, and the backend.
struct Shared<Backend> {
    asserted: bool,
    backend: Backend,
}

/// A device with its storage and its backend, neither of which moves. The memory has to outlive it.
struct Device<'a, Backend> {
    handle: *mut Opaque,
    storage: *mut u8,
    layout: Layout,
    region: Box<Region>,
    shared: *mut Shared<Backend>,
    memory: &'a Memory,
}

unsafe extern "C" fn interrupt<Backend>(context: *mut c_void, level: c_int) {
    (*(context as *mut Shared<Backend>)).asserted = level != 0;
}

/// The backend of a callback.
unsafe fn backend<'a, Backend>(context: *mut c_void) -> &'a mut Backend {
    &mut (*(context as *mut Shared<Backend>)).backend
}

impl<'a, Backend> Device<'a, Backend> {
    /// `settings` gets the context that the callbacks of the backend are to have.
    fn new<Settings>(
        memory: &'a Memory,
        backend: Backend,
        size: usize,
        create: Create<Settings>,
        settings: impl FnOnce(*mut c_void) -> Settings,
    ) -> Self {
        let layout = Layout::from_size_align(size, unsafe { vireo_device_align() }).unwrap();
        let mut device = Device {
            handle: null_mut(),
            storage: unsafe { alloc(layout) },
            layout,
            region: Box::new(Region {
                guest_address: BASE,
                byte_count: SIZE as u64,
                host: memory.at(0, SIZE).cast(),
            }),
            shared: Box::into_raw(Box::new(Shared { asserted: false, backend })),
            memory,
        };
        let common = DeviceSettings {
            struct_size: size_of::<DeviceSettings>(),
            regions: &*device.region,
            region_count: 1,
            interrupt: Some(interrupt::<Backend>),
            interrupt_context: device.shared.cast(),
            withheld_features: 0,
        };
        let settings = settings(device.shared.cast());
        let status = unsafe { create(device.storage.cast(), size, &common, &settings, &mut device.handle) };
        assert_eq!(status, OK);
        device
    }

    /// Between two calls of the library nobody else has the backend.
    fn shared(&self) -> &mut Shared<Backend> {
        unsafe { &mut *self.shared }
    }

    fn get(&self, offset: u64) -> u32 {
        let mut value = 0;
        assert_eq!(unsafe { vireo_device_read(self.handle, offset, 4, &mut value) }, OK);
        value as u32
    }

    fn put(&self, offset: u64, value: u32) {
        assert_eq!(unsafe { vireo_device_write(self.handle, offset, 4, value.into()) }, OK);
    }

    fn poll(&self) {
        assert_eq!(unsafe { vireo_device_poll(self.handle) }, OK);
    }

    /// The guest's driver: reset to DRIVER_OK, with VERSION_1 alone.
    fn start(&self, queues: usize) {
        for status in [0, 1, 3] {
            self.put(0x70, status);
        }
        self.put(0x24, 1);
        self.put(0x20, 1);
        self.put(0x70, 11);
        for queue in 0..queues {
            let ring = queue * RING_STRIDE;
            self.memory.fill(ring, RING_STRIDE, 0);
            self.put(0x30, queue as u32);
            self.put(0x38, QUEUE_SIZE as u32);
            for (register, offset) in [(0x80, ring), (0x90, ring + AVAILABLE), (0xa0, ring + USED)] {
                self.put(register, BASE as u32 + offset as u32);
            }
            self.put(0x44, 1);
        }
        self.put(0x70, 15);
        assert_eq!(self.get(0x70), 15);
    }

    /// Makes a buffer of (offset, length, device-writable) available, and says so.
    fn submit(&self, queue: usize, pieces: &[(usize, u32, bool)]) {
        let ring = queue * RING_STRIDE;
        for (i, (offset, byte_count, writable)) in pieces.iter().enumerate() {
            let flags = u16::from(i + 1 < pieces.len()) | if *writable { 2 } else { 0 };
            self.memory.write(ring + 16 * i, &(BASE + *offset as u64).to_le_bytes());
            self.memory.write(ring + 16 * i + 8, &byte_count.to_le_bytes());
            self.memory.write(ring + 16 * i + 12, &flags.to_le_bytes());
            self.memory.write(ring + 16 * i + 14, &(i as u16 + 1).to_le_bytes());
        }
        let index = self.memory.load16(ring + AVAILABLE + 2);
        self.memory.write(ring + AVAILABLE + 4 + 2 * (index as usize % QUEUE_SIZE), &[0, 0]);
        self.memory.write(ring + AVAILABLE + 2, &(index + 1).to_le_bytes());
        self.put(0x50, queue as u32);
    }

    /// How many buffers came back, and the length of the last.
    fn used(&self, queue: usize) -> (u16, u32) {
        let ring = queue * RING_STRIDE + USED;
        let index = self.memory.load16(ring + 2);
        (index, self.memory.load32(ring + 8 + 8 * (index.wrapping_sub(1) as usize % QUEUE_SIZE)))
    }
}

impl<Backend> Drop for Device<'_, Backend> {
    fn drop(&mut self) {
        // The library has nothing to destroy; storage and backend were made in `new`.
        unsafe {
            dealloc(self.storage, self.layout);
            drop(Box::from_raw(self.shared));
        }
    }
}

// ---- a backend for each type

fn entropy(memory: &Memory) -> Device<'_, u8> {
    unsafe extern "C" fn fill(context: *mut c_void, bytes: *mut c_void, count: u32) -> u32 {
        let next = backend::<u8>(context);
        bytes.cast::<u8>().write_bytes(*next, count as usize);
        *next += 1;
        count
    }
    Device::new(memory, 1, unsafe { vireo_entropy_size() }, vireo_entropy_create, |context| EntropySettings {
        struct_size: size_of::<EntropySettings>(),
        fill: Some(fill),
        context,
    })
}

/// A disk of bytes of one value, whose reads end later.
#[derive(Default)]
struct Disk {
    pending: Vec<(Vec<Segment>, u32)>,
}

fn disk(memory: &Memory) -> Device<'_, Disk> {
    unsafe extern "C" fn read(
        context: *mut c_void, _: u64, segments: *const Segment, count: usize, token: u32,
    ) -> Status {
        backend::<Disk>(context).pending.push((std::slice::from_raw_parts(segments, count).to_vec(), token));
        PENDING
    }
    let size = unsafe { vireo_block_size() };
    Device::new(memory, Disk::default(), size, vireo_block_create, |context| BlockSettings {
        struct_size: size_of::<BlockSettings>(),
        context,
        sector_count: 64,
        block_size: 0,
        queue_count: 0,
        flags: BLOCK_READ_ONLY,
        range_sector_count: 0,
        identifier: [0; 20],
        read: Some(read),
        write: None,
        flush: None,
        discard: None,
        write_zeroes: None,
        secure_erase: None,
        cancel: None,
    })
}

#[derive(Default)]
struct Terminal {
    output: Vec<u8>,
    input: Vec<u8>,
}

fn console(memory: &Memory) -> Device<'_, Terminal> {
    unsafe extern "C" fn write(context: *mut c_void, _: u32, bytes: *const c_void, count: u32) -> u32 {
        // Guest memory may change meanwhile: copied byte by byte.
        let bytes = bytes.cast::<u8>();
        backend::<Terminal>(context).output.extend((0..count as usize).map(|i| bytes.add(i).read_volatile()));
        count
    }
    unsafe extern "C" fn has_input(context: *mut c_void, _: u32) -> c_int {
        c_int::from(!backend::<Terminal>(context).input.is_empty())
    }
    unsafe extern "C" fn read(context: *mut c_void, _: u32, bytes: *mut c_void, count: u32) -> u32 {
        let input = &mut backend::<Terminal>(context).input;
        let count = input.len().min(count as usize);
        bytes.cast::<u8>().copy_from(input.as_ptr(), count);
        input.drain(..count);
        count as u32
    }
    let size = unsafe { vireo_console_size() };
    Device::new(memory, Terminal::default(), size, vireo_console_create, |context| {
        ConsoleSettings {
            struct_size: size_of::<ConsoleSettings>(),
            context,
            flags: 0,
            columns: 80,
            rows: 25,
            write: Some(write),
            has_input: Some(has_input),
            read: Some(read),
            driver_open: None,
            emergency_write: None,
        }
    })
}

/// A link that gives every frame back.
fn mirror(memory: &Memory) -> Device<'_, Vec<u8>> {
    unsafe extern "C" fn transmit(
        context: *mut c_void, segments: *const Segment, count: usize, _: *const Offload,
    ) -> Status {
        let frame = backend::<Vec<u8>>(context);
        for segment in std::slice::from_raw_parts(segments, count) {
            let bytes = segment.host.cast::<u8>();
            frame.extend((0..segment.byte_count as usize).map(|i| bytes.add(i).read_volatile()));
        }
        OK
    }
    unsafe extern "C" fn waiting(context: *mut c_void, shown: *mut Frame) -> c_int {
        let frame = backend::<Vec<u8>>(context);
        (*shown).byte_count = frame.len() as u32;
        let prefix = frame.len().min(64);
        (&mut (*shown).prefix)[..prefix].copy_from_slice(&frame[..prefix]);
        c_int::from(!frame.is_empty())
    }
    unsafe extern "C" fn receive(context: *mut c_void, segments: *const Segment, count: usize) -> Status {
        let frame = backend::<Vec<u8>>(context);
        let mut done = 0;
        for segment in std::slice::from_raw_parts(segments, count) {
            let length = segment.byte_count as usize;
            segment.host.cast::<u8>().copy_from(frame[done..done + length].as_ptr(), length);
            done += length;
        }
        frame.clear();
        OK
    }
    unsafe extern "C" fn forget(context: *mut c_void) {
        backend::<Vec<u8>>(context).clear();
    }
    Device::new(memory, Vec::new(), unsafe { vireo_network_size() }, vireo_network_create, |context| {
        NetworkSettings {
            struct_size: size_of::<NetworkSettings>(),
            context,
            flags: 0,
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 0,
            transmit_offloads: 0,
            receive_offloads: 0,
            transmit: Some(transmit),
            waiting: Some(waiting),
            receive: Some(receive),
            drop: Some(forget),
            allow_offloads: None,
        }
    })
}

/// The header of the Base protocol's PROTOCOL_VERSION.
const PROTOCOL_VERSION: u32 = 0x10 << 10;

/// An SCMI platform that answers every command with a version. Its backend is the headers that it got.
fn platform(memory: &Memory) -> Device<'_, Vec<u32>> {
    unsafe extern "C" fn respond(
        context: *mut c_void, command: *const c_void, count: u32, response: *mut c_void, room: u32,
    ) -> u32 {
        assert!(count >= 4 && room >= 12);
        let header = command.cast::<u32>().read_unaligned();
        backend::<Vec<u32>>(context).push(header);
        response.cast::<[u32; 3]>().write_unaligned([header, 0, 0x20000]);
        12
    }
    let size = unsafe { vireo_scmi_device_size() };
    Device::new(memory, Vec::new(), size, vireo_scmi_device_create, |context| ScmiSettings {
        struct_size: size_of::<ScmiSettings>(),
        context,
        flags: 0,
        start: None,
        respond: Some(respond),
        has_event: None,
        next_event: None,
        reset: None,
    })
}

fn main() {
    let memory = Memory::new();
    assert_ne!(unsafe { vireo_version() }, 0);

    let device = entropy(&memory);
    device.start(1);
    device.submit(0, &[(DATA, 16, true)]);
    assert_eq!(device.used(0), (1, 16));
    assert!(device.shared().asserted);
    assert_eq!(memory.read(DATA, 17), [&[1; 16][..], &[0]].concat());

    let device = disk(&memory);
    device.start(1);
    memory.fill(DATA, 16, 0);
    device.submit(0, &[(DATA, 16, false), (DATA + 0x1000, 512, true), (DATA + 0x2000, 1, true)]);
    assert_eq!(device.used(0).0, 0);
    let (segments, token) = device.shared().backend.pending.pop().unwrap();
    for segment in &segments {
        unsafe { segment.host.cast::<u8>().write_bytes(0x42, segment.byte_count as usize) };
    }
    assert_eq!(unsafe { vireo_block_complete(device.handle, token, OK) }, OK);
    assert_eq!(unsafe { vireo_block_complete(device.handle, token, OK) }, UNKNOWN_TOKEN);
    device.poll();
    assert_eq!(device.used(0), (1, 513));
    assert_eq!(memory.read(DATA + 0x11ff, 2), [0x42, 0]);

    let device = console(&memory);
    device.start(2);
    memory.write(DATA, b"to the host");
    device.submit(1, &[(DATA, 11, false)]);
    assert_eq!(device.shared().backend.output, b"to the host");
    device.submit(0, &[(DATA, 64, true)]);
    // The rest happens on another device that takes over.
    let mut state = vec![0u8; 4096];
    let mut size = 0;
    let room = state.len();
    assert_eq!(unsafe { vireo_device_save(device.handle, state.as_mut_ptr().cast(), room, &mut size) }, OK);
    drop(device);
    let device = console(&memory);
    assert_eq!(unsafe { vireo_device_restore(device.handle, state.as_ptr().cast(), size - 1) }, BAD_STATE);
    assert_eq!(unsafe { vireo_device_restore(device.handle, state.as_ptr().cast(), size) }, OK);
    device.shared().backend.input = b"to the guest".to_vec();
    device.poll();
    assert_eq!(device.used(0), (1, 12));
    assert_eq!(memory.read(DATA, 12), b"to the guest");

    let device = mirror(&memory);
    device.start(2);
    memory.fill(DATA, 12, 0);
    memory.fill(DATA + 12, 60, 0xff);
    device.submit(0, &[(DATA + 0x1000, 2048, true)]);
    device.submit(1, &[(DATA, 72, false)]);
    device.poll();
    assert_eq!(device.used(0), (1, 72));
    assert_eq!(memory.read(DATA + 0x100c, 60), [0xff; 60]);

    let device = platform(&memory);
    device.start(1);
    memory.write(DATA, &PROTOCOL_VERSION.to_le_bytes());
    device.submit(0, &[(DATA, 4, false), (DATA + 0x1000, 64, true)]);
    assert_eq!(device.used(0), (1, 12));
    assert_eq!(device.shared().backend, [PROTOCOL_VERSION]);
    assert_eq!([0, 4, 8].map(|i| memory.load32(DATA + 0x1000 + i)), [PROTOCOL_VERSION, 0, 0x20000]);

    println!("devices in Rust: all checks passed");
}
