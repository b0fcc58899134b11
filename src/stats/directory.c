/* directory.c - the master writes which lives there are and what the dead have left; all others
 * read.
 *
 * Not here: which process a life is, and when it is dead (proc/registry.h); the rows of what the
 * dead have left worker by worker (retired.c). */
#include "stats/directory.h"

#include "base/clock.h"
#include "stats/layout.h"
#include "stats/memfd.h"
#include "stats/retired.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SPINS = 16,
	PAUSE_NS = 20000
};

#define OTHER "(other)"

/* The whole of it. What stands behind the header is on pages of its own: a `status` that copies the
 * header reads none of them, and rows that are never used cost nothing. */
struct memory {
	struct crew__directory_header header;
	_Alignas(4096) struct crew__retired_table retired;
	_Alignas(4096) struct crew__events events;
	_Alignas(4096) struct crew__deaths deaths;
	_Alignas(4096) struct crew__ports ports;
};

/* ---- making, opening ----------------------------------------------------------------------- */

static struct crew__directory directory_at(int fd, struct memory *memory, bool writable)
{
	return (struct crew__directory){
		.fd = fd,
		.header = &memory->header,
		.retired = &memory->retired,
		.events = &memory->events,
		.deaths = &memory->deaths,
		.ports = &memory->ports,
		.writable = writable,
	};
}

static void fill_services(
	struct crew__directory_header *header, const crew_service *const *services)
{
	uint32_t count = 0;
	while (count < CREW_MAX_SERVICES && services[count]) {
		snprintf(header->service[count], CREW__NAME_MAX, "%s", services[count]->name);
		count++;
	}
	header->services = count;
}

int crew__directory_new(const char *app, const char *app_version, const char *mode,
	const char *engine, const crew_service *const *services,
	struct crew__directory *ret_directory)
{
	struct timespec wall;
	int fd;
	void *memory;
	int error = crew__memfd_new(CREW__DIRECTORY_MAGIC, sizeof(struct memory), &fd, &memory);
	if (error)
		return error;
	struct crew__directory_header *header = memory;
	clock_gettime(CLOCK_REALTIME, &wall);
	snprintf(header->magic, sizeof(header->magic), "%s", CREW__DIRECTORY_MAGIC);
	header->version = CREW__DIRECTORY_VERSION;
	header->header_size = sizeof(*header);
	header->pid = getpid();
	header->began_ns = crew__clock_ns();
	header->began_wall_s = wall.tv_sec;
	snprintf(header->app, sizeof(header->app), "%s", app);
	snprintf(header->app_version, sizeof(header->app_version), "%s", app_version);
	snprintf(header->mode, sizeof(header->mode), "%s", mode);
	snprintf(header->engine, sizeof(header->engine), "%s", engine);
	fill_services(header, services);
	header->retired_size = sizeof(struct crew__slab);
	*ret_directory = directory_at(fd, memory, true);
	return 0;
}

static bool known(const struct crew__directory_header *header, size_t size)
{
	return size == sizeof(struct memory) &&
	       memcmp(header->magic, CREW__DIRECTORY_MAGIC, sizeof(CREW__DIRECTORY_MAGIC)) == 0 &&
	       header->version == CREW__DIRECTORY_VERSION &&
	       header->header_size == sizeof(*header) &&
	       header->retired_size == sizeof(struct crew__slab);
}

static int open_as(int take_fd, bool writable, struct crew__directory *ret_directory)
{
	size_t size;
	void *memory;
	int error = crew__memfd_map(take_fd, sizeof(struct memory), writable, &size, &memory);
	if (error) {
		close(take_fd);
		return error;
	}
	if (!known(memory, size)) {
		munmap(memory, size);
		close(take_fd);
		return -EPROTO;
	}
	*ret_directory = directory_at(take_fd, memory, writable);
	return 0;
}

int crew__directory_open(int take_fd, struct crew__directory *ret_directory)
{
	return open_as(take_fd, false, ret_directory);
}

int crew__directory_resume(int take_fd, uint32_t last_life, struct crew__directory *ret_directory)
{
	int status = open_as(take_fd, true, ret_directory);
	if (status == 0)
		ret_directory->last_life = last_life;
	return status;
}

void crew__directory_fini(struct crew__directory *directory)
{
	/* Descriptor and mapping come and go together. */
	if (directory->header) {
		munmap(directory->header, sizeof(struct memory));
		close(directory->fd);
	}
	*directory = (struct crew__directory){ .fd = -1 };
}

int crew__directory_readonly_fd(const struct crew__directory *directory)
{
	return crew__memfd_readonly(directory->fd);
}

/* ---- writing ------------------------------------------------------------------------------- */

static void begin(struct crew__directory_header *header)
{
	uint32_t sequence = atomic_load_explicit(&header->sequence, memory_order_relaxed);
	atomic_store_explicit(&header->sequence, sequence + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void end(struct crew__directory_header *header)
{
	uint32_t sequence = atomic_load_explicit(&header->sequence, memory_order_relaxed);
	atomic_store_explicit(&header->sequence, sequence + 1, memory_order_release);
}

/* The row of a life; of 0: a free row. NULL when there is none. */
static struct crew__life *find_life(struct crew__directory_header *header, uint32_t life)
{
	for (size_t i = 0; i < CREW__LIVES_MAX; i++)
		if (header->lives[i].life == life)
			return &header->lives[i];
	return NULL;
}

int crew__directory_reserve(struct crew__directory *directory, uint32_t *ret_life)
{
	if (!find_life(directory->header, 0))
		return -ENOSPC;
	/* There are more numbers than rows, so one is found. The number stands in connection ids,
	 * which outlive their connections: one that was just in use would make a stale id somebody
	 * else's. */
	uint32_t life = directory->last_life;
	do {
		life = life % CREW__LIFE_MAX + 1;
	} while (find_life(directory->header, life));
	directory->last_life = life;
	*ret_life = life;
	return 0;
}
_Static_assert((int)CREW__LIFE_MAX > (int)CREW__LIVES_MAX, "a number for each row");

void crew__directory_enter(struct crew__directory *directory, const struct crew__life *life)
{
	struct crew__life *row = find_life(directory->header, life->life);
	if (!row)
		row = find_life(directory->header, 0);
	if (!row)
		return;
	begin(directory->header);
	*row = *life;
	end(directory->header);
}

static bool is_row(const struct crew__exit_row *row, const char *service, int status, int signal)
{
	return row->status == status && row->signal == signal &&
	       strncmp(row->service, service, CREW__NAME_MAX - 1) == 0;
}

/* The row to count in; the last one gathers what finds no row of its own. */
static struct crew__exit_row *find_exit(
	struct crew__directory_header *header, const char *service, int status, int signal)
{
	for (uint32_t i = 0; i < header->exit_rows; i++)
		if (is_row(&header->exits[i], service, status, signal))
			return &header->exits[i];
	struct crew__exit_row *row = &header->exits[CREW__EXITS_MAX - 1];
	if (header->exit_rows == CREW__EXITS_MAX)
		return row;
	bool last = header->exit_rows == CREW__EXITS_MAX - 1;
	row = &header->exits[header->exit_rows++];
	snprintf(row->service, sizeof(row->service), "%s", last ? OTHER : service);
	row->status = last ? 0 : status;
	row->signal = last ? 0 : signal;
	return row;
}

/* The index of that service; -1: none of ours. */
static int find_service(const struct crew__directory_header *header, const char *service)
{
	for (uint32_t i = 0; i < header->services; i++)
		if (strncmp(header->service[i], service, CREW__NAME_MAX - 1) == 0)
			return (int)i;
	return -1;
}

static void fold(struct crew__directory *directory, uint32_t service, uint32_t id,
	const struct crew__slab *buried, const struct crew__histogram *measures)
{
	struct crew__directory_header *header = directory->header;
	uint32_t folds = atomic_load_explicit(&header->folds, memory_order_relaxed);
	atomic_store_explicit(&header->folds, folds + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	crew__slab_add(&header->retired[service], buried, false);
	crew__retired_add(directory->retired, service, id, buried, measures);
	atomic_store_explicit(&header->folds, folds + 2, memory_order_release);
}

void crew__directory_retire(struct crew__directory *directory, uint32_t life,
	const struct crew__snapshot *last, const char *service, int status, int signal)
{
	struct crew__directory_header *header = directory->header;
	struct crew__slab buried = last->counters;
	struct crew__life *row = life ? find_life(header, life) : NULL;
	uint32_t id = row ? row->id : CREW__RETIRED_REST;
	int index = find_service(header, service);
	crew__slab_bury(&buried);
	begin(header);
	if (index >= 0)
		fold(directory, (uint32_t)index, id, &buried, last->measures);
	find_exit(header, service, status, signal)->count++;
	if (row)
		*row = (struct crew__life){ 0 };
	end(header);
}

void crew__directory_count(
	struct crew__directory *directory, unsigned service, const struct crew__slab *more)
{
	static const struct crew__histogram none[CREW__MEASURES];
	struct crew__directory_header *header = directory->header;
	if (service >= header->services)
		return;
	begin(header);
	fold(directory, service, CREW__RETIRED_REST, more, none);
	end(header);
}

void crew__directory_leave(struct crew__directory *directory, uint32_t life)
{
	struct crew__life *row = life ? find_life(directory->header, life) : NULL;
	if (!row)
		return;
	begin(directory->header);
	*row = (struct crew__life){ 0 };
	end(directory->header);
}

int crew__directory_service(struct crew__directory *directory, unsigned index, const char *name)
{
	struct crew__directory_header *header = directory->header;
	if (index >= CREW_MAX_SERVICES || index > header->services)
		return -ENOSPC;
	begin(header);
	snprintf(header->service[index], CREW__NAME_MAX, "%s", name);
	if (index == header->services)
		header->services++;
	end(header);
	return 0;
}

void crew__directory_reload(struct crew__directory *directory, uint64_t began_ns)
{
	struct crew__directory_header *header = directory->header;
	uint64_t since = began_ns > header->began_ns ? began_ns - header->began_ns : 0;
	begin(header);
	header->reload_began = began_ns == 0 ? 0 : (uint32_t)(since / (10 * CREW__NS_PER_MS)) + 1;
	end(header);
}

void crew__directory_generation(
	struct crew__directory *directory, uint32_t generation, const char *app_version)
{
	struct crew__directory_header *header = directory->header;
	begin(header);
	header->generation = generation;
	if (app_version)
		snprintf(header->app_version, sizeof(header->app_version), "%s", app_version);
	end(header);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* One try; true when the master was outside of an update from the beginning to the end. */
static bool try_copy(
	const struct crew__directory_header *header, struct crew__directory_header *copy)
{
	uint32_t before = atomic_load_explicit(&header->sequence, memory_order_acquire);
	memcpy(copy, header, sizeof(*copy));
	atomic_thread_fence(memory_order_acquire);
	return before % 2 == 0 &&
	       before == atomic_load_explicit(&header->sequence, memory_order_relaxed);
}

static void end_text(char *text, size_t size)
{
	text[size - 1] = '\0';
}

/* A reader must not need to know what a damaged directory could say. */
static void tame(struct crew__directory_header *copy)
{
	end_text(copy->app, sizeof(copy->app));
	end_text(copy->app_version, sizeof(copy->app_version));
	end_text(copy->mode, sizeof(copy->mode));
	end_text(copy->engine, sizeof(copy->engine));
	for (size_t i = 0; i < CREW_MAX_SERVICES; i++)
		end_text(copy->service[i], sizeof(copy->service[i]));
	for (size_t i = 0; i < CREW__EXITS_MAX; i++)
		end_text(copy->exits[i].service, sizeof(copy->exits[i].service));
	copy->services = (uint32_t)crew__min(copy->services, CREW_MAX_SERVICES);
	copy->exit_rows = (uint32_t)crew__min(copy->exit_rows, CREW__EXITS_MAX);
}

bool crew__directory_read(const struct crew__directory *directory, unsigned patience_us,
	struct crew__directory_header *ret_copy)
{
	const struct timespec a_while = { .tv_nsec = PAUSE_NS };
	uint64_t deadline = crew__clock_ns() + patience_us * UINT64_C(1000);
	bool consistent;
	for (unsigned tries = 0;; tries++) {
		consistent = try_copy(directory->header, ret_copy);
		if (consistent || crew__clock_ns() >= deadline)
			break;
		if (tries >= SPINS)
			nanosleep(&a_while, NULL);
	}
	tame(ret_copy);
	return consistent;
}

int crew__directory_retired(const struct crew__directory *directory,
	const struct crew__directory_header *copy, struct crew__retired **ret_rows,
	size_t *ret_count)
{
	struct crew__retired *rows;
	size_t count;
	int error = crew__retired_copy(directory->retired, copy->services, &rows, &count);
	if (error)
		return error;
	atomic_thread_fence(memory_order_acquire);
	/* It only grows: what it is now it was all the time. If it is odd, the master stopped
	 * inside a fold, and what there is, is given. */
	uint32_t folds = atomic_load_explicit(&directory->header->folds, memory_order_relaxed);
	if (folds != atomic_load_explicit(&copy->folds, memory_order_relaxed)) {
		free(rows);
		return -EAGAIN;
	}
	*ret_rows = rows;
	*ret_count = count;
	return 0;
}
