// SPDX-License-Identifier: Apache-2.0
// The devices of vireo.h in C++: each with its storage and its backend in one object, no C in sight. A driver
// of a few lines stands for the guest.

#include "vireo.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

unsigned checks;

void check(bool condition, const char *what) {
  if (!condition) {
    std::fprintf(stderr, "failed: %s\n", what);
    std::exit(1);
  }
  checks++;
}

#define CHECK(condition) check(condition, #condition)
#define OK(call) check((call) == VIREO_OK, #call)

// Guest RAM: the rings of three queues, then data.
constexpr std::uint64_t base = 0x80000000;
constexpr unsigned queueSize = 8, ringStride = 0x1000, available = 0x400, used = 0x800, data = 0x10000;

struct Memory {
  std::vector<unsigned char> bytes = std::vector<unsigned char>(0x20000 + 4096);
  unsigned char *start() {
    auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
    return bytes.data() + (4096 - address % 4096);
  }
  unsigned char *at(unsigned offset) { return start() + offset; }
  template <typename T> void store(unsigned offset, T value) {
    std::memcpy(at(offset), &value, sizeof value);
  }
  template <typename T> T load(unsigned offset) {
    T value;
    std::memcpy(&value, at(offset), sizeof value);
    return value;
  }
};

// Storage of the size and alignment that the library asks for; a device cannot be copied or moved.
class Storage {
public:
  explicit Storage(std::size_t size) : size(size) {
    if (posix_memalign(&memory, vireo_device_align(), size) != 0) std::abort();
  }
  ~Storage() { std::free(memory); }
  Storage(const Storage &) = delete;
  Storage &operator=(const Storage &) = delete;
  void *memory = nullptr;
  const std::size_t size;
};

// What is common to all devices: guest memory and the interrupt line. A type's backend derives from it.
class Device {
public:
  virtual ~Device() = default;
  vireo_device *handle = nullptr;
  bool interrupted = false;

protected:
  Device(Memory &memory, std::size_t size) : storage(size), region{base, 0x20000, memory.start()} {}

  vireo_device_settings common() {
    vireo_device_settings settings{};
    settings.struct_size = sizeof settings;
    settings.regions = &region;
    settings.region_count = 1;
    settings.interrupt = [](void *context, int level) {
      static_cast<Device *>(context)->interrupted = level != 0;
    };
    settings.interrupt_context = this;
    return settings;
  }

  Storage storage;
  vireo_region region;
};

class Entropy : public Device {
public:
  explicit Entropy(Memory &memory) : Device(memory, vireo_entropy_size()) {
    auto shared = common();
    vireo_entropy_settings settings{};
    settings.struct_size = sizeof settings;
    settings.context = this;
    settings.fill = [](void *context, void *bytes, std::uint32_t count) {
      std::memset(bytes, static_cast<Entropy *>(context)->next++, count);
      return count;
    };
    OK(vireo_entropy_create(storage.memory, storage.size, &shared, &settings, &handle));
  }
  int next = 1;
};

// A disk whose reads end when `finish` is called.
class Disk : public Device {
public:
  explicit Disk(Memory &memory) : Device(memory, vireo_block_size()), contents(64 * 512, 0x42) {
    auto shared = common();
    vireo_block_settings settings{};
    settings.struct_size = sizeof settings;
    settings.context = this;
    settings.sector_count = contents.size() / 512;
    settings.flags = VIREO_BLOCK_READ_ONLY;
    settings.read = [](void *context, std::uint64_t sector, const vireo_segment *segments, std::size_t count,
                       std::uint32_t token) {
      auto &self = *static_cast<Disk *>(context);
      self.pending.push_back({sector, {segments, segments + count}, token});
      return VIREO_PENDING;
    };
    OK(vireo_block_create(storage.memory, storage.size, &shared, &settings, &handle));
  }

  void finish() {
    for (auto &request : pending) {
      auto from = contents.begin() + static_cast<std::ptrdiff_t>(request.sector * 512);
      for (auto &segment : request.segments) {
        std::copy_n(from, segment.byte_count, static_cast<unsigned char *>(segment.host));
        from += segment.byte_count;
      }
      OK(vireo_block_complete(handle, request.token, VIREO_OK));
    }
    pending.clear();
    OK(vireo_device_poll(handle));
  }

private:
  struct Request {
    std::uint64_t sector;
    std::vector<vireo_segment> segments;
    std::uint32_t token;
  };
  std::vector<unsigned char> contents;
  std::vector<Request> pending;
};

class Console : public Device {
public:
  explicit Console(Memory &memory) : Device(memory, vireo_console_size()) {
    auto shared = common();
    vireo_console_settings settings{};
    settings.struct_size = sizeof settings;
    settings.context = this;
    settings.columns = 80;
    settings.rows = 25;
    settings.write = [](void *context, std::uint32_t, const void *bytes, std::uint32_t count) {
      static_cast<Console *>(context)->output.append(static_cast<const char *>(bytes), count);
      return count;
    };
    settings.has_input = [](void *context, std::uint32_t) {
      return static_cast<Console *>(context)->input.empty() ? 0 : 1;
    };
    settings.read = [](void *context, std::uint32_t, void *bytes, std::uint32_t count) {
      auto &text = static_cast<Console *>(context)->input;
      auto length = static_cast<std::uint32_t>(text.copy(static_cast<char *>(bytes), count));
      text.erase(0, length);
      return length;
    };
    OK(vireo_console_create(storage.memory, storage.size, &shared, &settings, &handle));
  }
  std::string output, input;
};

// A link that gives every frame back to its sender.
class Mirror : public Device {
public:
  explicit Mirror(Memory &memory) : Device(memory, vireo_network_size()) {
    auto shared = common();
    vireo_network_settings settings{};
    settings.struct_size = sizeof settings;
    settings.context = this;
    settings.mac[0] = 2;
    settings.transmit = [](void *context, const vireo_segment *segments, std::size_t count,
                           const vireo_network_offload *) {
      auto &frame = static_cast<Mirror *>(context)->frame;
      for (std::size_t i = 0; i < count; i++) {
        auto *from = static_cast<unsigned char *>(segments[i].host);
        frame.insert(frame.end(), from, from + segments[i].byte_count);
      }
      return VIREO_OK;
    };
    settings.waiting = [](void *context, vireo_network_frame *shown) {
      auto &frame = static_cast<Mirror *>(context)->frame;
      shown->byte_count = static_cast<std::uint32_t>(frame.size());
      std::copy_n(frame.begin(), std::min(frame.size(), sizeof shown->prefix), shown->prefix);
      return frame.empty() ? 0 : 1;
    };
    settings.receive = [](void *context, const vireo_segment *segments, std::size_t count) {
      auto &frame = static_cast<Mirror *>(context)->frame;
      auto from = frame.begin();
      for (std::size_t i = 0; i < count; i++) {
        std::copy_n(from, segments[i].byte_count, static_cast<unsigned char *>(segments[i].host));
        from += segments[i].byte_count;
      }
      frame.clear();
      return VIREO_OK;
    };
    settings.drop = [](void *context) { static_cast<Mirror *>(context)->frame.clear(); };
    OK(vireo_network_create(storage.memory, storage.size, &shared, &settings, &handle));
  }
  std::vector<unsigned char> frame;
};

// The library's own SCMI platform, without a resource, behind the device; the guest is its agent.
class Platform : public Device {
public:
  explicit Platform(Memory &memory) : Device(memory, vireo_scmi_device_size()) {
    vireo_scmi_settings board{};
    board.struct_size = sizeof board;
    board.vendor = "Vireo";
    board.sub_vendor = "example";
    board.get = [](void *, std::uint32_t, vireo_scmi_property, std::int64_t *) { return std::int32_t{-1}; };
    board.set = [](void *, std::uint32_t, vireo_scmi_property, std::int64_t, std::uint32_t) {
      return std::int32_t{-1};
    };
    OK(vireo_scmi_create(platformStorage.memory, platformStorage.size, &board, &platform));
    OK(vireo_scmi_add_agent(platform, "guest", 0, &agent));
    auto shared = common();
    vireo_scmi_device_settings settings{};
    settings.struct_size = sizeof settings;
    settings.context = this;
    settings.respond = [](void *context, const void *command, std::uint32_t count, void *response,
                          std::uint32_t room) {
      auto &self = *static_cast<Platform *>(context);
      std::size_t length = 0;
      OK(vireo_scmi_handle(self.platform, self.agent, command, count, response, room, &length));
      return static_cast<std::uint32_t>(length);
    };
    settings.reset = [](void *context) {
      auto &self = *static_cast<Platform *>(context);
      OK(vireo_scmi_reset_agent(self.platform, self.agent));
    };
    OK(vireo_scmi_device_create(storage.memory, storage.size, &shared, &settings, &handle));
  }

private:
  Storage platformStorage{vireo_scmi_size()};
  vireo_scmi *platform = nullptr;
  std::uint32_t agent = 0;
};

// The guest's side.
class Driver {
public:
  Driver(Device &device, Memory &memory, unsigned queues) : device(device), memory(memory) {
    for (std::uint32_t status : {0u, 1u, 3u}) put(0x70, status);
    put(0x24, 1);
    put(0x20, 1);  // VERSION_1
    put(0x70, 11);
    for (unsigned queue = 0; queue < queues; queue++) {
      auto ring = queue * ringStride;
      std::memset(memory.at(ring), 0, ringStride);
      put(0x30, queue);
      put(0x38, queueSize);
      put(0x80, static_cast<std::uint32_t>(base) + ring);
      put(0x90, static_cast<std::uint32_t>(base) + ring + available);
      put(0xa0, static_cast<std::uint32_t>(base) + ring + used);
      put(0x44, 1);
    }
    put(0x70, 15);
    CHECK(get(0x70) == 15);
  }

  std::uint32_t get(unsigned offset) {
    std::uint64_t value = 0;
    OK(vireo_device_read(device.handle, offset, 4, &value));
    return static_cast<std::uint32_t>(value);
  }

  void put(unsigned offset, std::uint32_t value) { OK(vireo_device_write(device.handle, offset, 4, value)); }

  struct Piece {
    unsigned offset;
    std::uint32_t byteCount;
    bool isWritable;
  };

  void submit(unsigned queue, const std::vector<Piece> &pieces) {
    auto ring = queue * ringStride;
    for (unsigned i = 0; i < pieces.size(); i++) {
      auto flags = (i + 1 < pieces.size() ? 1 : 0) | (pieces[i].isWritable ? 2 : 0);
      memory.store<std::uint64_t>(ring + 16 * i, base + pieces[i].offset);
      memory.store<std::uint32_t>(ring + 16 * i + 8, pieces[i].byteCount);
      memory.store<std::uint16_t>(ring + 16 * i + 12, static_cast<std::uint16_t>(flags));
      memory.store<std::uint16_t>(ring + 16 * i + 14, static_cast<std::uint16_t>(i + 1));
    }
    auto index = memory.load<std::uint16_t>(ring + available + 2);
    memory.store<std::uint16_t>(ring + available + 4 + 2 * (index % queueSize), 0);
    memory.store<std::uint16_t>(ring + available + 2, static_cast<std::uint16_t>(index + 1));
    put(0x50, queue);
  }

  // How many buffers came back, and the length of the last.
  std::uint16_t usedIndex(unsigned queue) {
    return memory.load<std::uint16_t>(queue * ringStride + used + 2);
  }
  std::uint32_t usedLength(unsigned queue) {
    auto index = static_cast<unsigned>(usedIndex(queue) - 1) % queueSize;
    return memory.load<std::uint32_t>(queue * ringStride + used + 8 + 8 * index);
  }

private:
  Device &device;
  Memory &memory;
};

void entropy(Memory &memory) {
  Entropy device(memory);
  Driver driver(device, memory, 1);
  driver.submit(0, {{data, 16, true}});
  CHECK(driver.usedIndex(0) == 1 && driver.usedLength(0) == 16 && device.interrupted);
  CHECK(memory.load<std::uint32_t>(data + 12) == 0x01010101);
}

void disk(Memory &memory) {
  Disk device(memory);
  Driver driver(device, memory, 1);
  memory.store<std::uint64_t>(data, 0);
  memory.store<std::uint64_t>(data + 8, 63);
  driver.submit(0, {{data, 16, false}, {data + 0x1000, 512, true}, {data + 0x2000, 1, true}});
  CHECK(driver.usedIndex(0) == 0 && !device.interrupted);
  device.finish();
  CHECK(driver.usedIndex(0) == 1 && driver.usedLength(0) == 513 && device.interrupted);
  CHECK(memory.load<unsigned char>(data + 0x11ff) == 0x42 && memory.load<unsigned char>(data + 0x2000) == 0);
}

void console(Memory &memory) {
  Console device(memory);
  Driver driver(device, memory, 2);
  std::memcpy(memory.at(data), "to the host", 11);
  driver.submit(1, {{data, 11, false}});
  CHECK(device.output == "to the host" && driver.usedIndex(1) == 1);
  driver.submit(0, {{data, 64, true}});
  device.input = "to the guest";
  OK(vireo_device_poll(device.handle));
  CHECK(driver.usedLength(0) == 12 && std::memcmp(memory.at(data), "to the guest", 12) == 0);
}

void network(Memory &memory) {
  Mirror device(memory);
  Driver driver(device, memory, 2);
  std::memset(memory.at(data), 0, 12);
  std::memset(memory.at(data + 12), 0xff, 60);
  driver.submit(0, {{data + 0x1000, 2048, true}});
  driver.submit(1, {{data, 72, false}});
  CHECK(driver.usedIndex(1) == 1 && driver.usedIndex(0) == 0);
  OK(vireo_device_poll(device.handle));
  CHECK(driver.usedIndex(0) == 1 && driver.usedLength(0) == 72 && device.frame.empty());
  CHECK(std::memcmp(memory.at(data + 0x100c), memory.at(data + 12), 60) == 0);
}

void scmi(Memory &memory) {
  Platform device(memory);
  Driver driver(device, memory, 1);
  constexpr std::uint32_t protocolVersion = 0x10 << 10;  // of the Base protocol: message 0
  memory.store<std::uint32_t>(data, protocolVersion);
  std::memset(memory.at(data + 0x1000), 0xff, 64);
  driver.submit(0, {{data, 4, false}, {data + 0x1000, 64, true}});
  CHECK(driver.usedIndex(0) == 1 && driver.usedLength(0) == 12 && device.interrupted);
  CHECK(memory.load<std::uint32_t>(data + 0x1000) == protocolVersion);
  CHECK(memory.load<std::uint32_t>(data + 0x1004) == 0);  // SUCCESS
  CHECK(memory.load<std::uint32_t>(data + 0x1008) == 0x20001);
}

// A device goes on in another object.
void move(Memory &memory) {
  auto first = std::make_unique<Console>(memory);
  Driver(*first, memory, 2).submit(0, {{data, 64, true}});
  std::array<unsigned char, 4096> bytes{};
  std::size_t size = 0;
  OK(vireo_device_save(first->handle, bytes.data(), bytes.size(), &size));
  first.reset();
  Console second(memory);
  OK(vireo_device_restore(second.handle, bytes.data(), size));
  second.input = "moved";
  OK(vireo_device_poll(second.handle));
  CHECK(memory.load<std::uint16_t>(used + 2) == 1 && std::memcmp(memory.at(data), "moved", 5) == 0);
  CHECK(vireo_device_restore(second.handle, bytes.data(), size - 1) == VIREO_BAD_STATE);
}

}  // namespace

int main() {
  Memory memory;
  entropy(memory);
  disk(memory);
  console(memory);
  network(memory);
  scmi(memory);
  move(memory);
  std::printf("devices in C++: %u checks passed\n", checks);
}
