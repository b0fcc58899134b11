/* survivors.c - finding a hung master's workers through its directory. */
#include "proc/survivors.h"

#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	LAST_WAIT_MS = 1000,
	PATIENCE_US = 1000
};

static int open_directory(
	const struct crew__running *running, struct crew__directory *ret_directory)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)running->pid, running->directory_fd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : crew__directory_open(fd, ret_directory);
}

/* What stands in shared memory is believed only as far as the kernel confirms it. */
static void add(struct crew__survivors *survivors, pid_t pid, pid_t master)
{
	pid_t parent = 0;
	int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pidfd < 0)
		return;
	if (crew__process_start_time(pid, &parent) != 0 && parent == master)
		survivors->pidfds[survivors->count++] = pidfd;
	else
		close(pidfd);
}

void crew__survivors_find(struct crew__survivors *survivors, const struct crew__running *running)
{
	struct crew__directory directory;
	survivors->count = 0;
	struct crew__directory_header *copy = malloc(sizeof(*copy));
	if (copy && open_directory(running, &directory) == 0) {
		crew__directory_read(&directory, PATIENCE_US, copy);
		for (unsigned i = 0; i < CREW__LIVES_MAX; i++)
			if (copy->lives[i].life != 0)
				add(survivors, copy->lives[i].pid, running->pid);
		crew__directory_fini(&directory);
	}
	free(copy);
}

static bool has_ended(int pidfd, uint64_t deadline_ns)
{
	uint64_t now = crew__clock_ns();
	int left_ms = now < deadline_ns ? (int)((deadline_ns - now) / CREW__NS_PER_MS) + 1 : 0;
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	return poll(&ended, 1, left_ms) > 0;
}

unsigned crew__survivors_end(struct crew__survivors *survivors)
{
	uint64_t deadline = crew__clock_ns() + LAST_WAIT_MS * CREW__NS_PER_MS;
	unsigned killed = 0;
	for (unsigned i = 0; i < survivors->count; i++) {
		if (has_ended(survivors->pidfds[i], deadline))
			continue;
		killed++;
		syscall(SYS_pidfd_send_signal, survivors->pidfds[i], SIGKILL, NULL, 0);
		has_ended(survivors->pidfds[i], crew__clock_ns() + LAST_WAIT_MS * CREW__NS_PER_MS);
	}
	crew__survivors_forget(survivors);
	return killed;
}

void crew__survivors_forget(struct crew__survivors *survivors)
{
	for (unsigned i = 0; i < survivors->count; i++)
		close(survivors->pidfds[i]);
	survivors->count = 0;
}
