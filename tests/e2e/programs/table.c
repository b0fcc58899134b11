/* table.c - a program whose next version has other services: see table2.c.
 *
 * Each line is answered with "VARIANT SERVICE GENERATION". Where services listen is said by the
 * settings file, as each version has others.
 *
 * Built with UNWILLING, it refuses to become a master; with BROKEN, to tell its plan. */
#include <crew/crew.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef VARIANT
#define VARIANT 1
#endif

static void answer(crew_conn *c, crew_msg msg)
{
	char text[128];
	const crew_worker *w = crew_worker_of(c);
	(void)msg;
	int length = snprintf(text, sizeof(text), "%d %s %u", VARIANT, crew_worker_service(w)->name,
		crew_worker_generation(w));
	crew_send(c, (crew_bytes){ text, (size_t)length });
}

static void on_worker_exit(const crew_exit *e)
{
	crew_log(CREW_INFO, "table variant %d buries %s#%u", VARIANT, e->service->name, e->id);
}

#define SERVICE(called)                                                                            \
	(&(const crew_service){ .name = (called),                                                  \
		.listen = "text+unix://RUNDIR/" called ".sock",                                    \
		.on_message = answer,                                                              \
		.on_worker_exit = on_worker_exit })

int main(int argc, char **argv)
{
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
		.services = { SERVICE("keep"), SERVICE("gone"), SERVICE("old"), SERVICE("moved") } };
#else
	const crew_app app = { .version = "2.0",
		.services = { SERVICE("fresh"), SERVICE("moved"), SERVICE("renamed"),
			SERVICE("keep") } };
#endif
	return crew_main(argc, argv, &app);
}
