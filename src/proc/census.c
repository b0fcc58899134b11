/* census.c - adding up a service. */
#include "proc/census.h"

#include "base/clock.h"
#include "stats/layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LIFE_NUMBERS = 4096,
	PATIENCE_US = 50,
	STILL_MS = 50 /* a turn that lasts longer: nobody accepts there */
};

struct person {
	uint32_t life; /* 0: nobody */
	bool own;
	const struct crew__segment *segment; /* &mapped, or borrowed */
	struct crew__segment mapped;
};

/* What another worker of this service says, where it says it; in memory that it may write at any
 * time. */
struct sibling {
	const struct crew__slab *slab; /* of any version: only its first members are looked at */
	const uint64_t *connections;
	const uint64_t *standing_back; /* NULL: of a version that does not */
};

struct crew__census {
	const struct crew__directory *directory;
	const struct crew__loop *loop;
	const crew_counter *counters;
	struct crew__directory_header *copy; /* allocated with the first question */
	uint32_t copy_sequence;         /* of the directory when it was copied; odd: copy again */
	uint16_t by_life[LIFE_NUMBERS]; /* index + 1; 0: not mapped here */
	struct person people[CREW__LIVES_MAX];
	bool siblings_known;
	unsigned sibling_count;
	struct sibling siblings[CREW__LIVES_MAX];
	/* What others and the dead add to one service, worked out once a turn. */
	struct {
		uint64_t turn_ns;
		int service;
		struct crew__slab sum;
	} others;
};

int crew__census_new(const struct crew__directory *directory, const struct crew__loop *loop,
	const crew_counter *counters, struct crew__census **ret_census)
{
	struct crew__census *census = calloc(1, sizeof(*census));
	if (!census)
		return -ENOMEM;
	census->directory = directory;
	census->loop = loop;
	census->counters = counters;
	census->copy_sequence = 1;
	census->others.service = -1;
	*ret_census = census;
	return 0;
}

void crew__census_free(struct crew__census *census)
{
	if (!census)
		return;
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++)
		crew__census_clear(census, i);
	free(census->copy);
	free(census);
}

static struct person *enter(struct crew__census *census, unsigned index, uint32_t life)
{
	crew__census_clear(census, index);
	struct person *person = &census->people[index];
	person->life = life;
	census->by_life[life] = (uint16_t)(index + 1);
	census->others.service = -1;
	census->siblings_known = false;
	return person;
}

void crew__census_set_own(struct crew__census *census, unsigned index, uint32_t life,
	const struct crew__segment *segment)
{
	struct person *person = enter(census, index, life);
	person->own = true;
	person->segment = segment;
}

int crew__census_set(struct crew__census *census, unsigned index, uint32_t life, int take_fd)
{
	if (index >= CREW__LIVES_MAX || life == 0 || life >= LIFE_NUMBERS) {
		close(take_fd);
		return -EINVAL;
	}
	struct crew__segment segment;
	int status = crew__segment_open(take_fd, false, &segment);
	if (status < 0)
		return status;
	/* The mapping is all that is needed, and a descriptor for each life would add up. */
	close(segment.fd);
	segment.fd = -1;
	struct person *person = enter(census, index, life);
	person->mapped = segment;
	person->segment = &person->mapped;
	return 0;
}

void crew__census_clear(struct crew__census *census, unsigned index)
{
	if (index >= CREW__LIVES_MAX || census->people[index].life == 0)
		return;
	struct person *person = &census->people[index];
	if (census->by_life[person->life] == index + 1)
		census->by_life[person->life] = 0;
	if (!person->own)
		crew__segment_fini(&person->mapped);
	memset(person, 0, sizeof(*person));
	census->others.service = -1;
	census->siblings_known = false;
}

/* A copy of the directory as it is now; it changes only when lives come and go. */
static const struct crew__directory_header *look(struct crew__census *census)
{
	if (!census->copy)
		census->copy = calloc(1, sizeof(*census->copy));
	if (!census->copy)
		return NULL;
	_Atomic uint32_t *sequence = &census->directory->header->sequence;
	uint32_t before = atomic_load_explicit(sequence, memory_order_acquire);
	if (before == census->copy_sequence && before % 2 == 0)
		return census->copy;
	bool consistent = crew__directory_read(census->directory, PATIENCE_US, census->copy);
	/* Copied at `before` or later; if it was later the next question copies once too often. */
	census->copy_sequence = consistent ? before : 1;
	census->others.service = -1;
	return census->copy;
}

static int find_service(const struct crew__directory_header *copy, const char *name)
{
	for (unsigned i = 0; i < copy->services && i < CREW_MAX_SERVICES; i++)
		if (strncmp(copy->service[i], name, CREW__NAME_MAX) == 0)
			return (int)i;
	return -1;
}

/* Add to `sum` what lives here (`own`) or elsewhere. */
static void add_living(
	const struct crew__census *census, unsigned service, bool own, struct crew__slab *sum)
{
	struct crew__snapshot snapshot;
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++) {
		const struct crew__life *life = &census->copy->lives[i];
		if (life->life == 0 || life->life >= LIFE_NUMBERS || life->service != service)
			continue;
		unsigned place = census->by_life[life->life];
		if (place == 0 || census->people[place - 1].own != own)
			continue;
		crew__segment_read(census->people[place - 1].segment, crew__clock_ns(), PATIENCE_US,
			&snapshot);
		crew__slab_add(sum, &snapshot.counters, true);
	}
}

uint64_t crew__census_counter(
	struct crew__census *census, const crew_service *service, const char *name)
{
	const struct crew__directory_header *copy = look(census);
	int index = copy ? find_service(copy, service->name) : -1;
	if (index < 0)
		return 0;
	uint64_t turn = crew__loop_ns(census->loop);
	if (census->others.service != index || census->others.turn_ns != turn) {
		census->others.service = index;
		census->others.turn_ns = turn;
		census->others.sum = copy->retired[index];
		add_living(census, (unsigned)index, false, &census->others.sum);
	}
	struct crew__slab sum = census->others.sum;
	add_living(census, (unsigned)index, true, &sum);
	uint64_t value = 0;
	return crew__slab_value(&sum, census->counters, name, &value) ? value : 0;
}

/* ---- siblings ------------------------------------------------------------------------------ */

/* Where that counter is; NULL when the segment has none of that name. */
static const uint64_t *find_counter(
	const struct crew__segment *segment, const struct crew__layout *layout, const char *name)
{
	for (uint32_t i = 0; i < layout->counters; i++) {
		struct crew__counter_entry entry;
		crew__layout_entry(segment, layout, i, &entry);
		if (entry.app || strcmp(entry.name, name) != 0)
			continue;
		bool inside = entry.offset % sizeof(uint64_t) == 0 &&
			      entry.offset >= layout->slab_offset &&
			      entry.offset - layout->slab_offset <=
				      layout->slab_size - sizeof(uint64_t);
		return inside ? crew__layout_at(segment, entry.offset) : NULL;
	}
	return NULL;
}

static void add_sibling(struct crew__census *census, const struct crew__segment *segment)
{
	struct crew__layout layout;
	if (crew__layout_check(segment, &layout))
		return;
	const struct sibling sibling = {
		.slab = crew__layout_at(segment, layout.slab_offset),
		.connections = find_counter(segment, &layout, "connections"),
		.standing_back = find_counter(segment, &layout, "standing_back"),
	};
	if (sibling.connections)
		census->siblings[census->sibling_count++] = sibling;
}

static const char *own_service(const struct crew__census *census)
{
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++)
		if (census->people[i].own)
			return census->people[i].segment->header->service;
	return NULL;
}

static void find_siblings(struct crew__census *census)
{
	const char *service = own_service(census);
	census->sibling_count = 0;
	census->siblings_known = true;
	for (unsigned i = 0; service && i < CREW__LIVES_MAX; i++) {
		const struct person *person = &census->people[i];
		if (person->life != 0 && !person->own &&
			strncmp(person->segment->header->service, service, CREW__NAME_MAX) == 0)
			add_sibling(census, person->segment);
	}
}

static bool could_accept(const struct sibling *sibling, uint64_t now)
{
	uint32_t state = atomic_load_explicit(&sibling->slab->state, memory_order_relaxed);
	uint64_t turns = atomic_load_explicit(&sibling->slab->turn_began_ns, memory_order_relaxed);
	bool still = turns != 0 && turns < now && now - turns > STILL_MS * CREW__NS_PER_MS;
	return state == CREW__READY && !still;
}

static bool listens(const struct sibling *sibling)
{
	return !sibling->standing_back ||
	       __atomic_load_n(sibling->standing_back, __ATOMIC_RELAXED) == 0;
}

struct crew__siblings crew__census_siblings(struct crew__census *census)
{
	struct crew__siblings fewest = { UINT64_MAX, UINT64_MAX };
	uint64_t now = crew__loop_ns(census->loop);
	if (!census->siblings_known)
		find_siblings(census);
	for (unsigned i = 0; i < census->sibling_count; i++) {
		const struct sibling *sibling = &census->siblings[i];
		if (!could_accept(sibling, now))
			continue;
		uint64_t has = __atomic_load_n(sibling->connections, __ATOMIC_RELAXED);
		fewest.all = crew__min(has, fewest.all);
		if (listens(sibling))
			fewest.listening = crew__min(has, fewest.listening);
	}
	return fewest;
}
