// What of Linux's C interface Swift cannot import: macros, variadic functions, unions and inline functions.
// Every function returns -errno on failure, if it can fail.

#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

// MARK: Sockets

/// A listening Unix stream socket at `path`, mode 0600, replacing a socket that nobody listens on any more.
int clinux_listen(const char *path);

/// A connection to the Unix stream socket at `path`.
int clinux_connect(const char *path);

/// The same, of which no call waits: not even this one, which fails with -EAGAIN when too many wait there.
int clinux_connect_now(const char *path);

/// Starts a process that connects to the Unix stream socket at `path`, and can do nothing else. It lives
/// until the descriptor is closed that is returned, or -errno. A byte written there asks for a connection,
/// which comes as the descriptor with a byte to be read, once there is one: attempts are made after a tenth
/// of a second, then less and less often down to every 5 seconds. Ask again only when it is lost. Neither
/// reading nor writing waits. At the end of what can be read the process is gone.
int clinux_connector(const char *path);

/// The next connection of a listening socket, close-on-exec. Calls on it fail with -EAGAIN after 5 seconds.
int clinux_accept(int listener);

/// Two connected Unix stream sockets.
int clinux_socket_pair(int pair[2]);

/// Receives up to `byte_count` bytes and the descriptors that come with them, close-on-exec, into `fds`.
/// `*fd_count` is the room for descriptors before and their number after. Descriptors beyond the room are
/// closed, and the result is then -EMFILE. 0: the peer closed.
ssize_t clinux_receive(int socket, void *bytes, size_t byte_count, int *fds, int *fd_count);

/// Sends all of `byte_count` bytes, with `fd_count` descriptors, at most 8. Never raises SIGPIPE.
int clinux_send(int socket, const void *bytes, size_t byte_count, const int *fds, int fd_count);

// MARK: Memory

/// How many bits of guest addresses there may be room for: 36 under the thread sanitizer, which leaves a
/// process 5 TiB of addresses and ends it when they are spent, else 42.
int clinux_address_bits(void);

/// Address space for `byte_count` bytes in which nothing is mapped, aligned to `alignment`, a power of two.
/// From here on a page in it that its file no longer has reads as zeros instead of ending the process. At
/// most 64 such areas. NULL on failure.
void *clinux_reserve(size_t byte_count, size_t alignment);

/// Gives the reserved area back.
void clinux_release(void *address);

/// Maps `byte_count` bytes of `fd` from `offset` on, shared and writable, at `address` of the reserved area.
int clinux_map(void *address, size_t byte_count, int fd, off_t offset);

/// Takes away what is mapped there: nothing of the reserved area can be accessed then.
int clinux_unmap(void *address, size_t byte_count);

/// Whether a page of the area at `address` had to be replaced since the last call, because its file shrank.
int clinux_memory_was_lost(void *address);

/// A file of `byte_count` zeros that lives in memory as long as somebody has it open. Its length is fixed.
int clinux_memory_file(const char *name, size_t byte_count);

/// The length of a file or block device in bytes.
int64_t clinux_byte_count(int fd);

// MARK: Events

/// A descriptor of an epoll set.
int clinux_epoll(void);
/// Adds `fd` to the set with `token`; edge-triggered if `is_edge`, and then for room to write, too.
int clinux_epoll_add(int set, int fd, uint64_t token, int is_edge);
/// Removes `fd` from the set.
int clinux_epoll_remove(int set, int fd);
/// Waits for up to `milliseconds`, -1 for ever. Writes the tokens of up to `capacity` descriptors; returns
/// their number, 0 also when a signal came.
int clinux_epoll_wait(int set, uint64_t *tokens, int capacity, int milliseconds);

/// Nanoseconds of a clock that never goes back.
uint64_t clinux_nanoseconds(void);
/// Tells the processor that this thread spins.
static inline void clinux_pause(void) {
#if defined __x86_64__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("yield");
#endif
}

/// An eventfd that does not block.
int clinux_eventfd(void);
/// Adds 1 to an eventfd. What the peer did with it is the peer's affair, so there is no result.
void clinux_signal(int eventfd);
/// Whether a read or write of `fd` may have to wait: 1 or 0, or -errno.
int clinux_may_wait(int fd);
/// Whether a write would not have to wait now.
int clinux_has_room(int fd);
/// From here on no signal tells that nobody reads what is written any more; the write fails.
void clinux_ignore_broken_pipes(void);
/// Takes the count off an eventfd. True if there was one.
int clinux_clear(int eventfd);

/// A descriptor that becomes readable on SIGINT, SIGTERM, SIGHUP and SIGWINCH, which then no longer end the
/// process.
int clinux_signals(void);
/// The number of the next signal of such a descriptor, or 0.
int clinux_next_signal(int fd);

// MARK: Files

/// Opens `path` for reading, or for reading and writing.
int clinux_open(const char *path, int is_writable);
/// Whether the file of `fd` lies in memory and nowhere else: reading and writing it never wait for a device.
int clinux_is_in_memory(int fd);
/// Reads, or writes, at `offset`, and returns when it is done: the number of bytes, or -errno.
ssize_t clinux_read_at(int fd, const struct iovec *vectors, unsigned count, uint64_t offset);
ssize_t clinux_write_at(int fd, const struct iovec *vectors, unsigned count, uint64_t offset);
/// Fills memory with random bytes of the system; returns how many were had at once, or -errno.
ssize_t clinux_random(void *bytes, size_t byte_count);

// MARK: io_uring

/// A queue of asynchronous file operations.
struct clinux_ring;

/// A ring for up to `capacity` operations at a time, whose completions count on `eventfd`. NULL when the
/// system has none; `*error` is then -errno.
struct clinux_ring *clinux_ring_create(unsigned capacity, int eventfd, int *error);
void clinux_ring_destroy(struct clinux_ring *ring);
/// Queue an operation, to be started by the next submit. `vectors` must stay valid until it is done. -EBUSY
/// when there is no room.
int clinux_ring_read(
    struct clinux_ring *ring, int fd, const struct iovec *vectors, unsigned count, uint64_t offset,
    uint64_t tag);
int clinux_ring_write(
    struct clinux_ring *ring, int fd, const struct iovec *vectors, unsigned count, uint64_t offset,
    int is_durable, uint64_t tag);
int clinux_ring_sync(struct clinux_ring *ring, int fd, uint64_t tag);
/// Deallocates a part of a file, which reads as zeros then, and keeps its length.
int clinux_ring_punch(struct clinux_ring *ring, int fd, uint64_t offset, uint64_t byte_count, uint64_t tag);
/// Starts what was queued. The number of operations that another call has to start, or -errno.
int clinux_ring_submit(struct clinux_ring *ring);
/// Whether there is a completion.
int clinux_ring_has_completion(struct clinux_ring *ring);
/// The next completion: 1 with its tag and result (a byte count, or -errno), or 0 if there is none.
int clinux_ring_complete(struct clinux_ring *ring, uint64_t *tag, int32_t *result);

// MARK: Networks

/// The tap interface `name`, with virtio's header of 12 bytes before each frame. Does not block.
int clinux_tap(const char *name);
/// What the readers of a tap interface do to its frames: complete checksums, segment TCP, also with ECN.
int clinux_tap_offloads(int fd, int checksum, int tcp4, int tcp6, int ecn);
/// From here on reading and writing fail with -EAGAIN instead of waiting.
int clinux_do_not_block(int fd);
/// The socket keeps up to `byte_count` bytes, or as many as the system allows, for a peer that does not read.
void clinux_allow_unsent(int socket, int byte_count);
/// Sends what the socket takes now of `count` pieces of memory. Never raises SIGPIPE.
ssize_t clinux_send_vectors(int socket, const struct iovec *vectors, unsigned count);
/// Writes `count` pieces of memory at once.
ssize_t clinux_write_vectors(int fd, const struct iovec *vectors, unsigned count);
/// Reads up to `byte_count` bytes; 0 at the end.
ssize_t clinux_read(int fd, void *bytes, size_t byte_count);

// MARK: Consoles

/// A new pseudo-terminal that lets every byte through as it is; the end that does not block. The name of the
/// other end, for programs, goes to `name`, which has room for `capacity` bytes.
int clinux_pty(char *name, size_t capacity);
/// The file of `fd`, opened once more so that it does not block, without a change for others who have it open
/// where the system allows that.
int clinux_unshared(int fd, int is_writable);
/// Reads what is there now, up to `byte_count` bytes; 0 at the end, -EAGAIN when there is nothing.
ssize_t clinux_get(int fd, void *bytes, size_t byte_count);
/// Writes what there is room for now, up to `byte_count` bytes; -EAGAIN when there is no room.
ssize_t clinux_put(int fd, const void *bytes, size_t byte_count);
/// Whether nobody is at the other end of a socket, pipe or pseudo-terminal any more.
int clinux_is_hung_up(int fd);

/// What a terminal was like before.
struct clinux_terminal;
/// The terminal `fd` passes on every key as it is pressed, and echoes none; those that send signals still do.
/// NULL when it is no terminal.
struct clinux_terminal *clinux_terminal_take(int fd);
/// The terminal is as it was before.
void clinux_terminal_give_back(struct clinux_terminal *terminal);
/// The size of the terminal `fd` in characters. 0 when it is no terminal, or does not know.
int clinux_terminal_size(int fd, uint16_t *columns, uint16_t *rows);

// MARK: Privileges

/// Gives up what the process does not need once its files are open: all capabilities, new privileges by exec,
/// core dumps with guest memory in them, where the kernel has Landlock every further access to the file
/// system, and all system calls but those of a server. 0, or -errno of the first step that failed.
int clinux_drop_privileges(void);

/// The last of these steps: other system calls fail with EPERM from here on. 0, or -errno.
int clinux_limit_calls(void);

/// All that a process can do from here on is to connect Unix sockets and hand them on. 0, or -errno.
int clinux_limit_calls_to_connecting(void);

#endif
