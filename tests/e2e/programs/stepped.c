/* stepped.c - a program in whose processes the clock on the wall is stepped: the file that the
 * variable CREW_TEST_CLOCK names holds seconds to add, and whoever writes there sets the clock. The
 * clock that only goes forward is as it is. The scenario tests speak to it in lines, which come
 * back; `wall` is answered with the time on the wall. */
#include <crew/crew.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* NULL: no such file. */
static const volatile int64_t *steps(void)
{
	static const volatile int64_t *seconds;
	static bool looked;
	const char *path = looked ? NULL : getenv("CREW_TEST_CLOCK");
	looked = true;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return seconds;
	void *file = mmap(NULL, sizeof(*seconds), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (file != MAP_FAILED)
		seconds = file;
	return seconds;
}

/* Instead of the library's, for the whole program. */
int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	if (syscall(SYS_clock_gettime, clock, ret_time) < 0)
		return -1;
	if ((clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && steps())
		ret_time->tv_sec += *steps();
	return 0;
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char text[32];
	struct timespec now;
	if (msg.body.len != 4 || memcmp(msg.body.data, "wall", 4) != 0) {
		crew_send(c, msg.body);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(text, sizeof(text), "%lld", (long long)now.tv_sec);
	crew_send(c, crew_str(text));
}

int main(int argc, char **argv)
{
	static const crew_service line = {
		.name = "line", .listen = "text://127.0.0.1:7103", .on_message = on_message
	};
	static const crew_service ws = {
		.name = "ws", .listen = "ws://127.0.0.1:7104", .on_message = on_message
	};
	return crew_main(argc, argv, &(crew_app){ .name = "stepped", .services = { &line, &ws } });
}
