/* log_out.c - writing without waiting, kind by kind. */
#include "base/log_out.h"

#include "base/clock.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	ENTRIES_AT_ONCE = 64, /* into a file */
	RECONNECT_MS = 500
};

/* ---- kinds --------------------------------------------------------------------------------- */

/* $JOURNAL_STREAM is DEVICE:INODE of the stream that the journal gave us as standard error; others
 * inherit the variable, so it is compared. */
static bool is_journal_stream(const struct stat *found)
{
	unsigned long long device, inode;
	const char *text = getenv("JOURNAL_STREAM");
	return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 &&
	       device == (unsigned long long)found->st_dev &&
	       inode == (unsigned long long)found->st_ino;
}

static bool is_datagram(int fd)
{
	int type = 0;
	socklen_t size = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM;
}

enum crew__log_kind crew__log_kind_of(int fd, bool journal)
{
	struct stat found;
	if (fstat(fd, &found) < 0 || S_ISREG(found.st_mode))
		return CREW__LOG_FILE;
	if (!S_ISSOCK(found.st_mode))
		return CREW__LOG_CHANNEL;
	if (is_datagram(fd))
		return journal ? CREW__LOG_JOURNAL : CREW__LOG_SYSLOG;
	return is_journal_stream(&found) ? CREW__LOG_JOURNAL_STREAM : CREW__LOG_STREAM;
}

static bool takes_datagrams(enum crew__log_kind kind)
{
	return kind == CREW__LOG_SYSLOG || kind == CREW__LOG_JOURNAL;
}

/* ---- the queue ----------------------------------------------------------------------------- */

static uint32_t length_at(const struct crew__log_out *out, size_t at)
{
	uint32_t length;
	memcpy(&length, out->queue + at, sizeof(length));
	return length;
}

bool crew__log_out_room(const struct crew__log_out *out, size_t length, size_t entries)
{
	return length + entries * sizeof(uint32_t) <= sizeof(out->queue) - out->len;
}

void crew__log_out_append(struct crew__log_out *out, const char *entry, size_t length)
{
	uint32_t prefix = (uint32_t)length;
	memcpy(out->queue + out->len, &prefix, sizeof(prefix));
	memcpy(out->queue + out->len + sizeof(prefix), entry, length);
	out->len += sizeof(prefix) + length;
}

static void take_off(struct crew__log_out *out, size_t length)
{
	out->len -= length;
	memmove(out->queue, out->queue + length, out->len);
	out->done = 0;
}

static void lose_first(struct crew__log_out *out, int error)
{
	out->lost++;
	out->error = error;
	if (out->done > 0)
		out->torn = !takes_datagrams(out->kind);
	take_off(out, sizeof(uint32_t) + length_at(out, 0));
}

void crew__log_out_drop(struct crew__log_out *out)
{
	while (out->len > 0)
		lose_first(out, EAGAIN);
}

/* ---- writing: bytes taken, or a negative errno; -EAGAIN: later ---------------------------------
 */

static ssize_t write_file(int fd, const struct iovec *parts, int count)
{
	ssize_t n = writev(fd, parts, count);
	return n < 0 ? -errno : n;
}

/* A pipe says by RWF_NOWAIT that it is full, whoever filled it meanwhile. What does not know that
 * flag is asked first: one that is ready takes PIPE_BUF bytes. */
static ssize_t write_channel(int fd, const struct iovec *part)
{
	ssize_t n = pwritev2(fd, part, 1, -1, RWF_NOWAIT);
	if (n >= 0)
		return n;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
		return ready.revents & (POLLERR | POLLHUP | POLLNVAL) ? -EPIPE : -EAGAIN;
	n = write(fd, part->iov_base, crew__min(part->iov_len, PIPE_BUF));
	return n < 0 ? -errno : n;
}

static ssize_t send_bytes(int fd, const struct iovec *part)
{
	ssize_t n = send(fd, part->iov_base, part->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

/* The journal takes what is too long for a datagram as a sealed file beside an empty one. */
static ssize_t send_as_file(int fd, const struct iovec *part)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS,
			      .cmsg_len = CMSG_LEN(sizeof(int)) } };
	const struct msghdr message = { .msg_control = &control,
		.msg_controllen = sizeof(control.room) };
	int file = memfd_create("crew-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file < 0)
		return -errno;
	ssize_t n = write(file, part->iov_base, part->iov_len);
	int error = n != (ssize_t)part->iov_len ? EIO : 0;
	if (!error && fcntl(file, F_ADD_SEALS,
			      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		error = errno;
	memcpy(CMSG_DATA(&control.head), &file, sizeof(file));
	if (!error && sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		error = errno;
	close(file);
	return error ? -error : n;
}

static bool reconnect(struct crew__log_out *out)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	uint64_t now = crew__clock_ns();
	if (now < out->reconnect_ns)
		return false;
	out->reconnect_ns = now + RECONNECT_MS * CREW__NS_PER_MS;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s",
		out->kind == CREW__LOG_JOURNAL ? CREW__JOURNAL_PATH : CREW__SYSLOG_PATH);
	return connect(out->fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

static bool is_away(ssize_t error)
{
	return error == -ECONNREFUSED || error == -ENOTCONN || error == -ECONNRESET ||
	       error == -EPIPE || error == -EDESTADDRREQ;
}

/* One whose other end has gone is tried again later, as whoever reads it may only be starting anew:
 * the socket is shared, so one process that finds it helps all. */
static ssize_t send_datagram(struct crew__log_out *out, const struct iovec *part)
{
	ssize_t n = send_bytes(out->fd, part);
	if (is_away(n) && reconnect(out))
		n = send_bytes(out->fd, part);
	if (n == -EMSGSIZE && out->kind == CREW__LOG_JOURNAL)
		n = send_as_file(out->fd, part);
	return is_away(n) || n == -ENOBUFS ? -EAGAIN : n;
}

/* As many entries of the queue as go at once, but for what of the first has gone. */
static int gather(const struct crew__log_out *out, struct iovec parts[ENTRIES_AT_ONCE], size_t most)
{
	size_t at = 0, done = out->done;
	int count = 0;
	while (at < out->len && (size_t)count < most) {
		uint32_t length = length_at(out, at);
		char *from = (char *)(uintptr_t)(out->queue + at + sizeof(length));
		parts[count++] = (struct iovec){ from + done, length - done };
		at += sizeof(length) + length;
		done = 0;
	}
	return count;
}

static ssize_t write_some(struct crew__log_out *out)
{
	struct iovec parts[ENTRIES_AT_ONCE];
	int count = gather(out, parts, out->kind == CREW__LOG_FILE ? ENTRIES_AT_ONCE : 1);
	switch (out->kind) {
	case CREW__LOG_FILE:
		return write_file(out->fd, parts, count);
	case CREW__LOG_CHANNEL:
		return write_channel(out->fd, parts);
	case CREW__LOG_STREAM:
	case CREW__LOG_JOURNAL_STREAM:
		return send_bytes(out->fd, parts);
	case CREW__LOG_SYSLOG:
	case CREW__LOG_JOURNAL:
		break;
	}
	return send_datagram(out, parts);
}

/* So many bytes have left, counted from the first entry's beginning that was still here. */
static void note_written(struct crew__log_out *out, size_t n)
{
	size_t at = 0;
	n += out->done;
	while (at < out->len && n >= length_at(out, at)) {
		n -= length_at(out, at);
		at += sizeof(uint32_t) + length_at(out, at);
	}
	take_off(out, at);
	out->done = n;
}

/* What follows a line without its end begins a line of its own. */
static ssize_t end_torn_line(struct crew__log_out *out)
{
	char end = '\n';
	const struct iovec part = { &end, 1 };
	ssize_t n = out->kind == CREW__LOG_FILE      ? write_file(out->fd, &part, 1)
		    : out->kind == CREW__LOG_CHANNEL ? write_channel(out->fd, &part)
						     : send_bytes(out->fd, &part);
	if (n > 0)
		out->torn = false;
	return n > 0 ? 0 : n;
}

void crew__log_out_flush(struct crew__log_out *out)
{
	while (out->len > 0) {
		ssize_t n = out->fd < 0 ? -EBADF : 0;
		if (n == 0 && out->torn)
			n = end_torn_line(out);
		if (n == 0)
			n = write_some(out);
		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			return;
		if (n < 0)
			lose_first(out, (int)-n);
		else if (takes_datagrams(out->kind))
			take_off(out, sizeof(uint32_t) + length_at(out, 0));
		else
			note_written(out, (size_t)n);
	}
}

bool crew__log_out_put(struct crew__log_out *out, const char *entry, size_t length)
{
	uint64_t lost = out->lost;
	if (!crew__log_out_room(out, length, 1))
		crew__log_out_flush(out);
	if (!crew__log_out_room(out, length, 1)) {
		out->lost++;
		out->error = EAGAIN;
		return false;
	}
	crew__log_out_append(out, entry, length);
	crew__log_out_flush(out);
	return out->lost == lost;
}

void crew__log_out_use(struct crew__log_out *out, int fd, enum crew__log_kind kind)
{
	/* Half a line in the old one ends there. */
	if (out->len > 0 && (kind != out->kind || out->done > 0))
		crew__log_out_flush(out);
	if (kind != out->kind)
		crew__log_out_drop(out);
	else if (out->done > 0)
		lose_first(out, EAGAIN);
	out->fd = fd;
	out->kind = kind;
	out->torn = false;
	out->reconnect_ns = 0;
}
