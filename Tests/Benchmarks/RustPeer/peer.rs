//! rust-vmm's `virtio-queue` over one `vm-memory` region, behind the table of `Harness/bench.h`.
//!
//! `Toolchain/bench` renames the `rv_` prefix to `rv14_` or `rv18_`, so that two versions link into one
//! process.

use std::io::Write;

use virtio_queue::{Queue, QueueT};
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

/// `struct vq_mem` of bench.h.
#[repr(C)]
pub struct QueueMemory {
    base: *mut u8,
    len: u64,
    desc: u64,
    avail: u64,
    used: u64,
    size: u16,
    features: u32,
}

type Chain<'a> = virtio_queue::DescriptorChain<&'a GuestMemoryMmap>;

pub struct Device {
    queue: Queue,
    memory: GuestMemoryMmap,
    /// The chain being walked by the one-call-an-operation peer.
    chain: Option<Chain<'static>>,
}

fn halves(address: u64) -> (Option<u32>, Option<u32>) {
    (Some(address as u32), Some((address >> 32) as u32))
}

#[no_mangle]
pub unsafe extern "C" fn rv_make(m: &QueueMemory) -> *mut Device {
    // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS: how the harness mapped it.
    let region: MmapRegion = MmapRegion::build_raw(m.base, m.len as usize, 3, 0x22).unwrap();
    let region = GuestRegionMmap::new(region, GuestAddress(0)).unwrap();
    let memory = GuestMemoryMmap::from_regions(vec![region]).unwrap();
    let mut queue = Queue::new(m.size).unwrap();
    queue.set_size(m.size);
    let (low, high) = halves(m.desc);
    queue.set_desc_table_address(low, high);
    let (low, high) = halves(m.avail);
    queue.set_avail_ring_address(low, high);
    let (low, high) = halves(m.used);
    queue.set_used_ring_address(low, high);
    queue.set_event_idx(m.features & 1 != 0);
    queue.set_ready(true);
    assert!(queue.is_valid(&memory));
    Box::into_raw(Box::new(Device { queue, memory, chain: None }))
}

/// The pop loop: pop, walk, add_used; once a batch the notification decision and asking for notifications.
#[no_mangle]
pub unsafe extern "C" fn rv_service(device: *mut Device, budget: u32, sum: &mut u64) -> u32 {
    let Device { queue, memory, .. } = &mut *device;
    let mut count = 0;
    while count < budget {
        let Some(chain) = queue.pop_descriptor_chain(&*memory) else { break };
        let head = chain.head_index();
        let mut written = 0;
        for descriptor in chain {
            *sum += descriptor.addr().0 + u64::from(descriptor.len());
            if descriptor.is_write_only() {
                written += descriptor.len();
            }
        }
        queue.add_used(memory, head, written).unwrap();
        count += 1;
    }
    std::hint::black_box(queue.needs_notification(memory).unwrap());
    queue.enable_notification(memory).unwrap();
    count
}

/// The same request as a block device sees it: `Reader` for the 16-byte header, `Writer` for the 64 bytes of
/// data and the status byte.
#[no_mangle]
pub unsafe extern "C" fn rv_block_service(device: *mut Device, budget: u32, sum: &mut u64) -> u32 {
    let Device { queue, memory, .. } = &mut *device;
    let mut count = 0;
    while count < budget {
        let Some(chain) = queue.pop_descriptor_chain(&*memory) else { break };
        let head = chain.head_index();
        let mut reader = chain.clone().reader(memory).unwrap();
        let mut writer = chain.writer(memory).unwrap();
        let kind: u32 = reader.read_obj().unwrap();
        let _reserved: u32 = reader.read_obj().unwrap();
        let sector: u64 = reader.read_obj().unwrap();
        *sum += u64::from(kind) + sector;
        writer.write_all(&[0u8; 64]).unwrap();
        writer.write_obj(0u8).unwrap();
        queue.add_used(memory, head, writer.bytes_written() as u32).unwrap();
        count += 1;
    }
    std::hint::black_box(queue.needs_notification(memory).unwrap());
    queue.enable_notification(memory).unwrap();
    count
}

/// One C call an operation. Takes the next chain; -1 when there is none, else its head.
#[no_mangle]
pub unsafe extern "C" fn rv_pop(device: *mut Device) -> i32 {
    let device = &mut *device;
    let memory: &'static GuestMemoryMmap = &*(&device.memory as *const _);
    device.chain = device.queue.pop_descriptor_chain(memory);
    device.chain.as_ref().map_or(-1, |chain| i32::from(chain.head_index()))
}

/// The next descriptor of the chain; false at its end.
#[no_mangle]
pub unsafe extern "C" fn rv_next(
    device: *mut Device, address: &mut u64, length: &mut u32, writable: &mut bool,
) -> bool {
    let Some(chain) = &mut (*device).chain else { return false };
    let Some(descriptor) = chain.next() else { return false };
    *address = descriptor.addr().0;
    *length = descriptor.len();
    *writable = descriptor.is_write_only();
    true
}

#[no_mangle]
pub unsafe extern "C" fn rv_used(device: *mut Device, head: u16, written: u32) {
    let device = &mut *device;
    device.queue.add_used(&device.memory, head, written).unwrap();
}

/// Whether the driver wants to hear; also asks the driver for notifications again.
#[no_mangle]
pub unsafe extern "C" fn rv_notify(device: *mut Device) -> bool {
    let device = &mut *device;
    let wanted = device.queue.needs_notification(&device.memory).unwrap();
    device.queue.enable_notification(&device.memory).unwrap();
    wanted
}
