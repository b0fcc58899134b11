/* table.c - a program whose next version has other services: see table2.c.
 *
 * Each line is answered with "VARIANT SERVICE GENERATION". Where services listen is said by the
 * settings file, as each version has others.
 *
 * Built with UNWILLING, it refuses to become a master; with BROKEN, to tell its plan. With AWKWARD
 * the environment says what its main() does before it becomes one:
 *
 *   TABLE_REHEARSAL=quits   a rehearsal ends with status 0, before it has begun
 *   TABLE_REHEARSAL=hangs   ... does not come to its end
 *   TABLE_REHEARSAL=waits   ... begins when the file `go` is there
 *
 * and the next image kills the child whose number stands in the file `victim`, if there is one.
 * Asked for "deaf", a worker of it shuts its master's socket and stands still. */
#include <crew/crew.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef VARIANT
#define VARIANT 1
#endif

#ifdef AWKWARD
static void be_awkward(void)
{
	const char *role = getenv("CREW_MASTER"), *how = getenv("TABLE_REHEARSAL");
	int master = 0, victim = 0;
	siginfo_t end;
	if (!role || sscanf(role, "%*d:%d", &master) != 1)
		return;
	if (master == getpid()) {
		FILE *file = fopen("victim", "re");
		if (file && fscanf(file, "%d", &victim) == 1 && kill(victim, SIGKILL) == 0)
			waitid(P_PID, (id_t)victim, &end, WEXITED | WNOWAIT);
		if (file)
			fclose(file);
		return;
	}
	if (how && strcmp(how, "quits") == 0)
		exit(0);
	while (how && strcmp(how, "hangs") == 0)
		pause();
	while (how && access("go", F_OK) < 0)
		usleep(10000);
}

static void turn_deaf(void)
{
	for (int fd = 3; fd < 256; fd++) {
		int type = 0;
		socklen_t size = sizeof(type);
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
			type == SOCK_SEQPACKET)
			shutdown(fd, SHUT_RDWR);
	}
	raise(SIGSTOP);
}
#endif

static void answer(crew_conn *c, crew_msg msg)
{
	char text[128];
	const crew_worker *w = crew_worker_of(c);
	(void)msg;
#ifdef AWKWARD
	if (msg.body.len == 4 && memcmp(msg.body.data, "deaf", 4) == 0)
		turn_deaf();
#endif
	int length = snprintf(text, sizeof(text), "%d %s %u", VARIANT, crew_worker_service(w)->name,
		crew_worker_generation(w));
	crew_send(c, (crew_bytes){ text, (size_t)length });
}

static void on_worker_exit(const crew_exit *e)
{
	crew_log(CREW_INFO, "table variant %d buries %s#%u", VARIANT, e->service->name, e->id);
}

#define SERVICE(called)                                         \
	(&(const crew_service){ .name = (called),               \
		.listen = "text+unix://RUNDIR/" called ".sock", \
		.on_message = answer,                           \
		.on_worker_exit = on_worker_exit })

int main(int argc, char **argv)
{
#ifdef AWKWARD
	be_awkward();
#endif
#ifdef UNWILLING
	if (getenv("CREW_MASTER"))
		return 3;
#endif
#ifdef BROKEN
	if (getenv("CREW_PLAN"))
		raise(SIGKILL);
#endif
#if VARIANT == 1
	const crew_app app = { .version = "1.0",
		.services = {
			SERVICE("keep"), SERVICE("gone"), SERVICE("old"), SERVICE("moved") } };
#else
	const crew_app app = { .version = "2.0",
		.services = {
			SERVICE("fresh"), SERVICE("moved"), SERVICE("renamed"), SERVICE("keep") } };
#endif
	return crew_main(argc, argv, &app);
}
