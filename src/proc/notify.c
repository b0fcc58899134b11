/* notify.c - datagrams to the service manager. */
#include "proc/notify.h"

#include "base/log.h"
#include "base/utf8.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- who manages us ------------------------------------------------------------------------ */

void crew__notify_init(struct crew__notify *notify)
{
	*notify = (struct crew__notify){ .fd = -1 };
}

/* A path, or behind an @ a name in the kernel's table. */
static int parse_socket(const char *name, struct crew__notify *notify)
{
	size_t length = strlen(name);
	if ((name[0] != '/' && name[0] != '@') || length < 2)
		return -EINVAL;
	if (length >= sizeof(notify->address.sun_path))
		return -ENAMETOOLONG;
	notify->address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(notify->address.sun_path, name, length);
	if (name[0] == '@')
		notify->address.sun_path[0] = '\0';
	notify->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return 0;
}

/* Digits only; false for anything else, 0 included. */
static bool parse_count(const char *text, uint64_t *ret_count)
{
	uint64_t count = 0;
	for (const char *digit = text; *digit; digit++)
		if (*digit < '0' || *digit > '9' || __builtin_mul_overflow(count, 10u, &count) ||
			__builtin_add_overflow(count, (uint64_t)(*digit - '0'), &count))
			return false;
	*ret_count = count;
	return count > 0;
}

static uint64_t watchdog_of(const char *usec, const char *pid, pid_t self)
{
	uint64_t microseconds, whose, ns;
	if (!usec || !parse_count(usec, &microseconds) ||
		__builtin_mul_overflow(microseconds, 1000u, &ns))
		return 0;
	if (pid && (!parse_count(pid, &whose) || whose != (uint64_t)self))
		return 0;
	return ns;
}

int crew__notify_parse(struct crew__notify *notify, const char *socket_name, const char *usec,
	const char *pid, pid_t self)
{
	crew__notify_init(notify);
	if (!socket_name || !socket_name[0])
		return 0;
	int status = parse_socket(socket_name, notify);
	if (status < 0)
		return status;
	notify->on = true;
	notify->watchdog_ns = watchdog_of(usec, pid, self);
	return 0;
}

void crew__notify_take(struct crew__notify *notify)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int status = crew__notify_parse(
		notify, name, getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid());
	if (status < 0)
		fprintf(stderr,
			"NOTIFY_SOCKET=%.200s is passed over: only a path or an @name of at most %zu "
			"bytes can be reached; the service manager will hear nothing\n",
			name, sizeof(notify->address.sun_path) - 1);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* ---- sending ------------------------------------------------------------------------------- */

static int open_socket(struct crew__notify *notify)
{
	if (notify->fd < 0)
		notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return notify->fd < 0 ? -errno : 0;
}

/* By the address each time: a manager that comes back under the same name is heard again. */
static int send_one(const struct crew__notify *notify, const char *text, int fd)
{
	struct iovec bytes = { .iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text) };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = {
		.msg_name = (void *)(uintptr_t)&notify->address,
		.msg_namelen = notify->address_size,
		.msg_iov = &bytes,
		.msg_iovlen = 1,
	};
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		struct cmsghdr *part = CMSG_FIRSTHDR(&message);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(part), &fd, sizeof(int));
	}
	ssize_t sent;
	do
		sent = sendmsg(notify->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* It has no room at the moment; everything else will not be better later. */
static bool is_full(int status)
{
	return status == -EAGAIN || status == -ENOBUFS || status == -ENOMEM || status == -EMFILE ||
	       status == -ENFILE || status == -ETOOMANYREFS;
}

static int try_to_send(struct crew__notify *notify, const char *text, int fd)
{
	int status = open_socket(notify);
	if (status == 0)
		status = send_one(notify, text, fd);
	if (status == 0 || is_full(status)) {
		notify->complained = notify->complained && status < 0;
		return status;
	}
	if (!notify->complained)
		crew__log(CREW_WARN, "the service manager does not hear: %s; going on without it",
			strerror(-status));
	notify->complained = true;
	return status;
}

static int copy_news(const char *text, int fd, struct crew__notify_kept *ret_kept)
{
	struct crew__notify_kept kept = { .fd = -1, .text = strdup(text) };
	if (!kept.text)
		return -ENOMEM;
	if (fd >= 0)
		kept.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && kept.fd < 0) {
		free(kept.text);
		return -EMFILE;
	}
	*ret_kept = kept;
	return 0;
}

static int keep(struct crew__notify *notify, const char *text, int fd)
{
	size_t count = notify->kept_count + 1u;
	struct crew__notify_kept *kept = count > CREW__NOTIFY_KEPT
						 ? NULL
						 : realloc(notify->kept, count * sizeof(*kept));
	int status = count > CREW__NOTIFY_KEPT ? -ENOSPC : -ENOMEM;
	if (kept) {
		notify->kept = kept;
		status = copy_news(text, fd, &kept[notify->kept_count]);
	}
	if (status == 0)
		notify->kept_count++;
	else
		crew__log(CREW_WARN, "the service manager takes nothing: \"%.60s\" is not told",
			text);
	return status;
}

static void forget(struct crew__notify *notify, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		free(notify->kept[i].text);
		if (notify->kept[i].fd >= 0)
			close(notify->kept[i].fd);
	}
	notify->kept_count -= count;
	memmove(notify->kept, notify->kept + count, notify->kept_count * sizeof(*notify->kept));
}

void crew__notify_fini(struct crew__notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	if (notify->kept_count > 0)
		forget(notify, notify->kept_count);
	free(notify->kept);
	crew__notify_init(notify);
}

int crew__notify_news(struct crew__notify *notify, const char *text, int fd)
{
	if (!notify->on)
		return -ENOTCONN;
	if (!crew__notify_flush(notify))
		return keep(notify, text, fd);
	int status = try_to_send(notify, text, fd);
	return is_full(status) ? keep(notify, text, fd) : status;
}

int crew__notify_pass(struct crew__notify *notify, const char *text)
{
	if (!notify->on)
		return -ENOTCONN;
	if (!crew__notify_flush(notify))
		return -EAGAIN;
	int status = try_to_send(notify, text, -1);
	return is_full(status) ? -EAGAIN : status;
}

bool crew__notify_flush(struct crew__notify *notify)
{
	unsigned done = 0;
	while (done < notify->kept_count) {
		const struct crew__notify_kept *kept = &notify->kept[done];
		if (is_full(try_to_send(notify, kept->text, kept->fd)))
			break;
		done++;
	}
	if (done > 0)
		forget(notify, done);
	return notify->kept_count == 0;
}

/* ---- values -------------------------------------------------------------------------------- */

/* A cut must not go through a character. */
static size_t cut(const char *text, size_t most)
{
	size_t length = strnlen(text, most + 1);
	if (length <= most)
		return length;
	length = most;
	while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	return length;
}

void crew__notify_clean(const char *text, char *ret_text, size_t size)
{
	size_t length = cut(text, size - 1);
	bool valid = crew__utf8_valid((crew_bytes){ text, length });
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];
		if (byte < ' ' || byte == 0x7f)
			ret_text[i] = ' ';
		else
			ret_text[i] = byte >= 0x80 && !valid ? '?' : text[i];
	}
	ret_text[length] = '\0';
}

/* ---- across a re-exec ---------------------------------------------------------------------- */

/* As in the variable. */
static void name_of(const struct crew__notify *notify, char *text, size_t size)
{
	size_t length = notify->address_size - offsetof(struct sockaddr_un, sun_path);
	const char *name = notify->address.sun_path;
	snprintf(text, size, "%s%.*s", name[0] ? "" : "@", (int)(length - !name[0]),
		name + !name[0]);
}

/* Those with a descriptor are told anew by who keeps it. */
static json_t *kept_texts(const struct crew__notify *notify)
{
	json_t *texts = json_array();
	for (unsigned i = 0; texts && i < notify->kept_count; i++)
		if (notify->kept[i].fd < 0)
			json_array_append_new(texts, json_string(notify->kept[i].text));
	return texts;
}

int crew__notify_save(const struct crew__notify *notify, json_t *into)
{
	char name[sizeof(notify->address.sun_path) + 1];
	if (!notify->on)
		return 0;
	name_of(notify, name, sizeof(name));
	if (!crew__utf8_valid((crew_bytes){ name, strlen(name) })) {
		crew__log(CREW_WARN, "the service manager hears no more of this program: the name "
				     "of its socket is no UTF-8 and cannot be handed over");
		return 0;
	}
	int failed = json_object_set_new(into, "socket", json_string(name));
	failed |= json_object_set_new(
		into, "watchdog_ns", json_integer((json_int_t)notify->watchdog_ns));
	failed |= json_object_set_new(into, "complained", json_boolean(notify->complained));
	failed |= json_object_set_new(into, "kept", kept_texts(notify));
	return failed ? -ENOMEM : 0;
}

void crew__notify_restore(struct crew__notify *notify, const json_t *from)
{
	const char *name = json_string_value(json_object_get(from, "socket"));
	json_int_t watchdog_ns = json_integer_value(json_object_get(from, "watchdog_ns"));
	if (crew__notify_parse(notify, name, NULL, NULL, 0) < 0 || !notify->on)
		return;
	notify->watchdog_ns = watchdog_ns > 0 ? (uint64_t)watchdog_ns : 0;
	notify->complained = json_is_true(json_object_get(from, "complained"));
	size_t i;
	json_t *text;
	json_array_foreach(json_object_get(from, "kept"), i, text) if (json_is_string(text))
		crew__notify_news(notify, json_string_value(text), -1);
}
