/* look.c - what /proc and a worker's memory say of a process. */
#include "cli/look.h"

#include "base/clock.h"
#include "cli/screen.h"
#include "proc/procfs.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	PATIENCE_US = 1000 /* for a writer that stands inside an update */
};

uint64_t crew__look_memory(pid_t pid)
{
	char text[256];
	uint64_t size, resident, bytes;
	long page = sysconf(_SC_PAGESIZE);
	if (pid <= 0 || !crew__procfs_read(pid, "statm", text, sizeof(text)) ||
		sscanf(text, "%" SCNu64 " %" SCNu64, &size, &resident) != 2)
		return 0;
	return __builtin_mul_overflow(resident, (uint64_t)page, &bytes) ? 0 : bytes;
}

/* Where /proc hides other users' processes the kernel still says whether they exist. */
struct crew__process_look crew__look_process(pid_t pid)
{
	if (pid <= 0)
		return (struct crew__process_look){ .gone = true };
	char state = crew__procfs_state(pid);
	return (struct crew__process_look){
		.gone = state == 'Z' || state == 'X' ||
			(!state && kill(pid, 0) != 0 && errno == ESRCH),
		.stopped = state == 'T' || state == 't',
	};
}

void crew__look_worker(
	const struct crew__segment *segment, uint64_t now_ns, struct crew__worker_look *ret_look)
{
	struct crew__snapshot snapshot;
	crew__segment_read(segment, now_ns, PATIENCE_US, &snapshot);
	struct crew__process_look process = crew__look_process(snapshot.pid);
	*ret_look = (struct crew__worker_look){
		.pid = snapshot.pid,
		.life = snapshot.life,
		.id = snapshot.id,
		.generation = snapshot.generation,
		.stopped = process.stopped,
		.gone = process.gone,
	};
	crew__screen_clean(ret_look->service, sizeof(ret_look->service), snapshot.service,
		sizeof(snapshot.service));
	if (snapshot.turn_began_ns && snapshot.turn_began_ns <= now_ns)
		ret_look->turn_ms = (now_ns - snapshot.turn_began_ns) / CREW__NS_PER_MS;
	if (ret_look->turn_ms && snapshot.callback != CREW__CB_NONE &&
		snapshot.callback < CREW__CALLBACKS)
		ret_look->busy_in = crew__callback_name((enum crew__callback)snapshot.callback);
	ret_look->stands_still = process.stopped || process.gone ||
				 ret_look->turn_ms >= CREW__STILL_MS;
}
