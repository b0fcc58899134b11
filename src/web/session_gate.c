/* session_gate.c - byte 0 of the file is the gate, byte 1 is held shared by who uses the database.
 */
#include "web/session_gate.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
	GATE_BYTE,
	USERS_BYTE,
	PAUSE_NS = 50 * 1000
};

static struct flock lock_of(short type, off_t byte)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
}

static int set(const struct crew__gate *gate, short type, off_t byte)
{
	struct flock lock = lock_of(type, byte);
	if (fcntl(gate->fd, F_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

int crew__gate_open(struct crew__gate *gate, int dir_fd, const char *name)
{
	gate->fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return gate->fd < 0 ? -errno : 0;
}

void crew__gate_close(struct crew__gate *gate)
{
	if (gate->fd >= 0)
		close(gate->fd);
	gate->fd = -1;
}

int crew__gate_enter(const struct crew__gate *gate, unsigned wait_us)
{
	uint64_t until = crew__clock_ns() + (uint64_t)wait_us * 1000;
	int error = set(gate, F_WRLCK, GATE_BYTE);
	while (error == -EAGAIN && crew__clock_ns() < until) {
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
		error = set(gate, F_WRLCK, GATE_BYTE);
	}
	return error;
}

void crew__gate_leave(const struct crew__gate *gate)
{
	set(gate, F_UNLCK, GATE_BYTE);
}

/* The letter of /proc/PID/stat, behind the name, which may hold anything. */
static char state_of(pid_t pid)
{
	char path[32], text[512];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (fd >= 0)
		close(fd);
	text[len > 0 ? len : 0] = '\0';
	const char *behind = strrchr(text, ')');
	return behind && behind[1] == ' ' ? behind[2] : '?';
}

pid_t crew__gate_holder(const struct crew__gate *gate, char *ret_text, size_t size)
{
	struct flock lock = lock_of(F_WRLCK, GATE_BYTE);
	if (fcntl(gate->fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return 0;
	char state = state_of(lock.l_pid);
	bool stopped = state == 'T' || state == 't';
	snprintf(ret_text, size, "process %d%s", (int)lock.l_pid,
		stopped ? ", which is stopped (by a signal or a debugger)" : "");
	return lock.l_pid;
}

int crew__gate_join(const struct crew__gate *gate)
{
	int alone = set(gate, F_WRLCK, USERS_BYTE);
	if (alone != 0 && alone != -EAGAIN)
		return alone;
	int error = set(gate, F_RDLCK, USERS_BYTE);
	return error ? error : alone == -EAGAIN;
}
