/* run.c - the measured window: when it begins and ends, what was answered inside it, and what it
 * cost the server.
 *
 * The cost is the run time of all threads of the server's processes in nanoseconds, from
 * /proc/PID/task/TID/schedstat, read by the generator itself at both ends of the window, so that
 * nothing outside of it is counted. */
#include "gen.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t own_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t thread_cpu(int task_fd, const char *tid)
{
	char path[64], text[128];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%.20s/schedstat", tid);
	fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* the thread has ended meanwhile */
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	return strtoull(text, NULL, 10);
}

static uint64_t process_cpu(int pid)
{
	char path[64];
	struct dirent *entry;
	uint64_t sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		fail("the server's process %d has gone: its log says why", pid);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			sum += thread_cpu(dirfd(dir), entry->d_name);
	closedir(dir);
	return sum;
}

static uint64_t servers_cpu(const struct options *o)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < o->pid_count; i++)
		sum += process_cpu(o->pids[i]);
	return sum;
}

static uint64_t duration_ns(double seconds)
{
	return (uint64_t)(seconds * (double)NS_PER_SECOND);
}

static void enter(struct run *r, const struct options *o)
{
	r->phase = PHASE_MEASURED;
	r->cpu_ns = servers_cpu(o);
	r->own_cpu_ns = own_cpu();
	r->from_ns = now_ns();
	r->until_ns = r->from_ns + duration_ns(o->seconds);
}

static void leave(struct run *r, const struct options *o)
{
	r->phase = PHASE_DONE;
	r->until_ns = now_ns();
	r->cpu_ns = servers_cpu(o) - r->cpu_ns;
	r->own_cpu_ns = own_cpu() - r->own_cpu_ns;
}

void run_start(struct run *r, const struct options *o)
{
	uint64_t now = now_ns();

	memset(r, 0, sizeof(*r));
	r->last_ns = now;
	r->from_ns = now + duration_ns(o->warmup);
	if (o->operations)
		enter(r, o);
}

void run_tick(struct run *r, const struct options *o, uint64_t now)
{
	if (r->phase == PHASE_WARMUP && now >= r->from_ns)
		enter(r, o);
	else if (r->phase == PHASE_MEASURED && !o->operations && now >= r->until_ns)
		leave(r, o);
}

unsigned run_take(struct run *r, const struct options *o, unsigned want)
{
	if (r->phase == PHASE_DONE)
		return 0;
	if (o->operations && want > o->operations - r->issued)
		want = (unsigned)(o->operations - r->issued);
	r->issued += want;
	return want;
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned top;

	if (ns < (2u << HISTOGRAM_BITS))
		return (unsigned)ns;
	top = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_BITS;
	return (top << HISTOGRAM_BITS) + (unsigned)(ns >> top);
}

/* The lower edge of a bucket; the inverse of bucket_of. */
static uint64_t bucket_ns(unsigned bucket)
{
	unsigned top = bucket >> HISTOGRAM_BITS;

	if (top < 2)
		return bucket;
	top--;
	return ((uint64_t)bucket - ((uint64_t)top << HISTOGRAM_BITS)) << top;
}

void run_answered(struct run *r, const struct options *o, uint64_t sent_ns, uint64_t now)
{
	r->last_ns = now;
	if (r->phase != PHASE_MEASURED)
		return;
	r->operations++;
	r->histogram[bucket_of(now - sent_ns)]++;
	if (o->operations && r->operations >= o->operations)
		leave(r, o);
}

static double percentile_us(const struct run *r, double share)
{
	uint64_t wanted = (uint64_t)((double)r->operations * share), seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
		seen += r->histogram[i];
		if (seen > wanted)
			return (double)bucket_ns(i) / 1e3;
	}
	return 0;
}

void run_print(const struct run *r, const struct options *o)
{
	double seconds = (double)(r->until_ns - r->from_ns) / (double)NS_PER_SECOND;
	double per_op = r->operations ? 1e-3 / (double)r->operations : 0;

	printf("\"seconds\":%.6f,\"operations\":%" PRIu64 ",\"rate\":%.0f,", seconds, r->operations,
		(double)r->operations / seconds);
	printf("\"p50_us\":%.1f,\"p99_us\":%.1f,", percentile_us(r, 0.5), percentile_us(r, 0.99));
	if (o->pid_count)
		printf("\"server_cpu_s\":%.6f,\"server_us_per_op\":%.4f,",
			(double)r->cpu_ns / (double)NS_PER_SECOND, (double)r->cpu_ns * per_op);
	printf("\"own_cpu_s\":%.6f,\"own_us_per_op\":%.4f",
		(double)r->own_cpu_ns / (double)NS_PER_SECOND, (double)r->own_cpu_ns * per_op);
}
