/* attach.c - read-only descriptors, from the master or past it. */
#include "proc/attach.h"

#include "base/clock.h"
#include "proc/endpoint.h"
#include "proc/inside.h"
#include "proc/pidfile.h"
#include "proc/wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ANSWER_MS = 500,
	PATIENCE_US = 20000
};

/* ---- asking the master --------------------------------------------------------------------- */

static int take_directory(
	struct crew__attached *attached, struct crew__message *message, uint32_t *ret_lives)
{
	if (message->type != CREW__MSG_ATTACHED || message->length != sizeof(*ret_lives) ||
		message->fd_count != 1)
		return -EPROTO;
	memcpy(ret_lives, message->payload, sizeof(*ret_lives));
	if (*ret_lives > CREW__LIVES_MAX)
		return -EPROTO;
	return crew__directory_open(crew__message_take_fd(message, 0), &attached->directory);
}

/* A segment that cannot be mapped is left out; the others still tell. */
static int take_segments(
	struct crew__attached *attached, struct crew__message *message, uint32_t *lives)
{
	if (message->type != CREW__MSG_LIVES || message->fd_count == 0 ||
		message->fd_count > *lives)
		return -EPROTO;
	for (unsigned i = 0; i < message->fd_count; i++) {
		struct crew__segment *segment = &attached->segments[attached->segment_count];
		if (crew__segment_open(crew__message_take_fd(message, i), false, segment) == 0)
			attached->segment_count++;
	}
	*lives -= message->fd_count;
	return 0;
}

static int converse(struct crew__attached *attached, int fd)
{
	static struct crew__message message; /* large; one at a time */
	uint64_t deadline = crew__clock_ns() + ANSWER_MS * CREW__NS_PER_MS;
	uint32_t lives = 0;
	int status = crew__wire_send(fd, CREW__MSG_ATTACH, NULL, 0, NULL, 0);
	for (bool first = true; status == 0 && (first || lives > 0); first = false) {
		int got = crew__wire_await(fd, &message, deadline);
		if (got != 1)
			return got == 0 ? -ECONNRESET : got;
		status = first ? take_directory(attached, &message, &lives)
			       : take_segments(attached, &message, &lives);
		crew__message_release(&message);
	}
	return status;
}

static int ask_master(struct crew__attached *attached, const char *run_dir, const char *name)
{
	int fd = crew__endpoint_connect(run_dir, name);
	if (fd < 0)
		return fd;
	int status = converse(attached, fd);
	close(fd);
	return status;
}

/* ---- past the master ----------------------------------------------------------------------- */

static int open_past(pid_t pid, int number)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, number);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int look_past_master(struct crew__attached *attached, const struct crew__running *running)
{
	int fd = open_past(running->pid, running->directory_fd);
	return fd < 0 ? fd : crew__directory_open(fd, &attached->directory);
}

/* The numbers in the directory may be a moment old, so a segment must say that it is of that life.
 */
static void map_past_master(struct crew__attached *attached, pid_t pid)
{
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++) {
		const struct crew__life *life = &attached->copy->lives[i];
		if (life->life == 0 || life->fd < 0)
			continue;
		struct crew__segment *segment = &attached->segments[attached->segment_count];
		int fd = open_past(pid, life->fd);
		if (fd < 0 || crew__segment_open(fd, false, segment) < 0)
			continue;
		if (segment->header->life == life->life)
			attached->segment_count++;
		else
			crew__segment_fini(segment);
	}
}

/* ---- together ------------------------------------------------------------------------------ */

/* What was mapped and is not in the directory's copy has died in between: the copy has it folded.
 */
static void drop_the_dead(struct crew__attached *attached)
{
	size_t kept = 0;
	for (size_t i = 0; i < attached->segment_count; i++) {
		bool lives = false;
		for (unsigned n = 0; n < CREW__LIVES_MAX && !lives; n++)
			lives = attached->copy->lives[n].life == attached->segments[i].header->life;
		if (lives)
			attached->segments[kept++] = attached->segments[i];
		else
			crew__segment_fini(&attached->segments[i]);
	}
	attached->segment_count = kept;
}

static void explain(
	int status, const char *run_dir, const char *name, pid_t pid, char *text, size_t size)
{
	if (status == -ESRCH)
		snprintf(text, size, "not running (run directory %s); start it with `start`",
			run_dir);
	else if (status == -EACCES || status == -EPERM)
		snprintf(text, size,
			"not allowed to look at %s in %s; be root or its user, or widen control_mode",
			name, run_dir);
	else if (pid == 0)
		snprintf(text, size, "cannot read %s/%s.pid: %s", run_dir, name, strerror(-status));
	else
		snprintf(text, size, "the master (pid %d) does not show its numbers: %s", (int)pid,
			status == -EPROTO ? "it is of another version of crew" : strerror(-status));
}

static void init_empty(struct crew__attached *attached)
{
	memset(attached, 0, sizeof(*attached));
	attached->directory.fd = -1;
}

static int attach(struct crew__attached *attached, const char *run_dir,
	const struct crew__running *running, const char *name)
{
	attached->master = running->pid;
	attached->copy = calloc(1, sizeof(*attached->copy));
	attached->segments = calloc(CREW__LIVES_MAX, sizeof(*attached->segments));
	if (!attached->copy || !attached->segments)
		return -ENOMEM;
	int status = ask_master(attached, run_dir, name);
	attached->master_answers = status == 0;
	/* Refused is refused; for all else the numbers are there without the master. */
	if (status < 0 && status != -EPROTO) {
		crew__directory_fini(&attached->directory);
		while (attached->segment_count > 0)
			crew__segment_fini(&attached->segments[--attached->segment_count]);
		status = look_past_master(attached, running);
	}
	if (status < 0)
		return status;
	attached->copy_consistent = crew__directory_read(
		&attached->directory, PATIENCE_US, attached->copy);
	if (attached->master_answers)
		drop_the_dead(attached);
	else
		map_past_master(attached, running->pid);
	return 0;
}

int crew__attach(const char *run_dir, const char *name, struct crew__attached *ret_attached,
	char *ret_error, size_t error_size)
{
	struct crew__attached attached;
	struct crew__running running = { .pid = 0 };
	init_empty(&attached);
	int status = crew__pidfile_read(run_dir, name, &running);
	if (status == 0)
		status = attach(&attached, run_dir, &running, name);
	if (status < 0) {
		explain(status, run_dir, name, running.pid, ret_error, error_size);
		crew__attach_fini(&attached);
		return status;
	}
	*ret_attached = attached;
	return 0;
}

/* ---- from inside --------------------------------------------------------------------------- */

static int map_own(struct crew__attached *attached, const struct crew__registry *registry)
{
	attached->master = getpid();
	attached->master_answers = true;
	attached->copy = calloc(1, sizeof(*attached->copy));
	attached->segments = calloc(CREW__LIVES_MAX, sizeof(*attached->segments));
	if (!attached->copy || !attached->segments)
		return -ENOMEM;
	int fd = crew__directory_readonly_fd(&registry->directory);
	int status = fd < 0 ? fd : crew__directory_open(fd, &attached->directory);
	for (unsigned i = 0; status == 0 && i < registry->used; i++) {
		if (registry->entries[i].serial == 0)
			continue;
		fd = crew__segment_readonly_fd(&registry->entries[i].segment);
		status = fd < 0 ? fd
				: crew__segment_open(
					  fd, false, &attached->segments[attached->segment_count]);
		attached->segment_count += status == 0;
	}
	return status;
}

int crew__attach_local(struct crew__attached *ret_attached)
{
	struct crew__attached attached;
	const struct crew__control_plan *inside = crew__inside();
	if (!inside)
		return -ENOTCONN;
	init_empty(&attached);
	int status = map_own(&attached, inside->registry);
	if (status < 0) {
		crew__attach_fini(&attached);
		return status;
	}
	attached.copy_consistent = crew__directory_read(
		&attached.directory, PATIENCE_US, attached.copy);
	*ret_attached = attached;
	return 0;
}

int crew__attach_here(const char *run_dir, const char *name, struct crew__attached *ret_attached,
	char *ret_error, size_t error_size)
{
	if (!crew__inside())
		return crew__attach(run_dir, name, ret_attached, ret_error, error_size);
	int status = crew__attach_local(ret_attached);
	if (status < 0)
		snprintf(ret_error, error_size, "cannot map the numbers of this process: %s",
			strerror(-status));
	return status;
}

int crew__attach_refresh(struct crew__attached *attached, const char *run_dir, const char *name,
	char *ret_error, size_t error_size)
{
	struct crew__attached fresh;
	int status = crew__attach(run_dir, name, &fresh, ret_error, error_size);
	if (status < 0)
		return status;
	crew__attach_fini(attached);
	*attached = fresh;
	return 0;
}

void crew__attach_fini(struct crew__attached *attached)
{
	for (size_t i = 0; i < attached->segment_count; i++)
		crew__segment_fini(&attached->segments[i]);
	free(attached->segments);
	free(attached->copy);
	crew__directory_fini(&attached->directory);
	init_empty(attached);
}
