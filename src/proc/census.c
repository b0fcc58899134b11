/* census.c - adding up a service. */
#include "proc/census.h"

#include "base/clock.h"
#include "stats/layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LIFE_NUMBERS = 4096,
	PATIENCE_US = 50
};

struct person {
	uint32_t life; /* 0: nobody */
	bool own;
	const struct crew__segment *segment; /* &mapped, or borrowed */
	struct crew__segment mapped;
};

struct crew__census {
	const struct crew__directory *directory;
	const struct crew__loop *loop;
	const crew_counter *counters;
	struct crew__directory_header *copy; /* allocated with the first question */
	uint32_t copy_sequence;         /* of the directory when it was copied; odd: copy again */
	uint16_t by_life[LIFE_NUMBERS]; /* index + 1; 0: not mapped here */
	struct person people[CREW__LIVES_MAX];
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
