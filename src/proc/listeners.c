/* listeners.c - opening what the services listen on. */
#include "proc/listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Is there one for each worker at that address? */
static bool has_each(const struct crew__listening *place,
	const struct crew__service_settings *settings, bool single)
{
	bool own = settings->reuse_port && !single;
	/* Of a group each of several sockets would get every datagram. */
	return own && place->address.transport != CREW__UNIX &&
	       !crew__address_is_group(&place->address);
}

/* Room for `count` sockets at least; those that are new are not there. */
static int make_room(struct crew__listening *place, unsigned count)
{
	if (count <= place->count)
		return 0;
	int *fds = reallocarray(place->fds, count, sizeof(int));
	if (!fds)
		return -ENOMEM;
	place->fds = fds;
	while (place->count < count)
		fds[place->count++] = -1;
	return 0;
}

/* One worker id at least has sockets of its own: room for who accepts for them. */
static int note_each(struct crew__listener *listener, unsigned each)
{
	if (each < 2 || each <= listener->each)
		return 0;
	pid_t *keepers = reallocarray(listener->keepers, each, sizeof(pid_t));
	if (!keepers)
		return -ENOMEM;
	memset(keepers + listener->each, 0, (each - listener->each) * sizeof(pid_t));
	listener->keepers = keepers;
	listener->each = each;
	return 0;
}

/* There may be more than there are workers now, and somebody may wait in each. */
static int take_surplus(struct crew__listening *place, unsigned number, const char *service,
	struct crew__inherited *inherited, char *ret_error, size_t error_size)
{
	struct crew__address_file file;
	int fd;
	while ((fd = crew__inherited_take(
			inherited, service, number, &place->address, place->count, &file)) >= 0) {
		int error = make_room(place, place->count + 1);
		if (error) {
			close(fd);
			return error;
		}
		place->fds[place->count - 1] = fd;
		error = crew__address_adopt(
			&place->address, fd, &file, true, ret_error, error_size);
		if (error)
			return error;
	}
	return 0;
}

/* Those that are there already. */
static int take_place(struct crew__listening *place, unsigned number, const char *service,
	struct crew__inherited *inherited, char *ret_error, size_t error_size)
{
	for (unsigned i = 0; i < place->count; i++) {
		struct crew__address_file file;
		place->fds[i] = crew__inherited_take(
			inherited, service, number, &place->address, i, &file);
		if (place->fds[i] < 0)
			continue;
		int error = crew__address_adopt(
			&place->address, place->fds[i], &file, place->each, ret_error, error_size);
		if (error)
			return error;
	}
	return 0;
}

/* The others. The first may choose a port: the rest get the same. */
static int open_place(struct crew__listening *place, char *ret_error, size_t error_size)
{
	for (unsigned i = 0; i < place->count; i++) {
		if (place->fds[i] >= 0)
			continue;
		int fd = crew__address_listen(&place->address, place->each, ret_error, error_size);
		if (fd < 0)
			return fd;
		place->fds[i] = fd;
	}
	return 0;
}

static int make_places(struct crew__listener *listener,
	const struct crew__service_settings *settings, const char *run_dir, bool single,
	char *ret_error, size_t error_size)
{
	struct crew__address *addresses = calloc(CREW__ADDRESSES_MAX, sizeof(*addresses));
	size_t count = 0;
	if (!addresses)
		return -ENOMEM;
	int status = crew__addresses_parse(
		settings->listen, run_dir, addresses, &count, ret_error, error_size);
	if (status == 0)
		listener->places = calloc(count, sizeof(*listener->places));
	if (status == 0 && !listener->places)
		status = -ENOMEM;
	for (size_t i = 0; status == 0 && i < count; i++) {
		struct crew__listening *place = &listener->places[i];
		place->address = addresses[i];
		place->address.unsent_limit = (uint32_t)settings->kernel_unsent_limit;
		listener->count++;
		place->each = has_each(place, settings, single);
		status = make_room(place, place->each ? (unsigned)settings->workers : 1);
		if (status == 0)
			status = note_each(listener, place->count);
	}
	free(addresses);
	return status;
}

static int take_service(struct crew__listener *listener, const char *service,
	struct crew__inherited *inherited, char *ret_error, size_t error_size)
{
	int status = 0;
	for (unsigned i = 0; status == 0 && i < listener->count; i++) {
		struct crew__listening *place = &listener->places[i];
		status = take_place(place, i, service, inherited, ret_error, error_size);
		if (status == 0 && place->each)
			status = take_surplus(place, i, service, inherited, ret_error, error_size);
		if (status == 0)
			status = note_each(listener, place->count);
	}
	return status;
}

static int open_service(struct crew__listener *listener, char *ret_error, size_t error_size)
{
	int status = 0;
	for (unsigned i = 0; status == 0 && i < listener->count; i++)
		status = open_place(&listener->places[i], ret_error, error_size);
	if (status == 0 && listener->count > 0)
		crew__addresses_text(&listener->places[0].address, sizeof(listener->places[0]),
			listener->count, listener->text, sizeof(listener->text));
	return status;
}

static void close_place(struct crew__listening *place)
{
	for (unsigned n = 0; n < place->count; n++) {
		if (place->fds[n] < 0)
			continue;
		crew__address_unlink(&place->address, place->fds[n]);
		close(place->fds[n]);
	}
	free(place->fds);
}

static void close_service(struct crew__listener *listener)
{
	for (unsigned i = 0; i < listener->count; i++)
		close_place(&listener->places[i]);
	free(listener->places);
	free(listener->keepers);
	memset(listener, 0, sizeof(*listener));
}

/* One pass over the services: what it needs, and where its complaint goes. */
struct step {
	const struct crew__settings *settings;
	bool single;
	struct crew__inherited *inherited;
	char *error;
	size_t error_size;
};

static int explain(const struct step *step, unsigned service, int status, const char *why)
{
	const struct crew__service_settings *settings = &step->settings->service[service];
	if (status < 0)
		snprintf(step->error, step->error_size, "service %s cannot listen on %s: %s",
			settings->service->name, settings->listen, why);
	return status;
}

static int begin_one(struct crew__listener *listener, const struct step *step, unsigned service)
{
	const struct crew__service_settings *settings = &step->settings->service[service];
	char why[512] = "no memory";
	if (!settings->listen)
		return 0;
	int status = make_places(
		listener, settings, step->settings->run_dir, step->single, why, sizeof(why));
	if (status == 0 && step->inherited)
		status = take_service(
			listener, settings->service->name, step->inherited, why, sizeof(why));
	return explain(step, service, status, why);
}

static int open_one(struct crew__listener *listener, const struct step *step, unsigned service)
{
	char why[512] = "no memory";
	return explain(step, service, open_service(listener, why, sizeof(why)), why);
}

int crew__listeners_open(struct crew__listeners *listeners, const struct crew__settings *settings,
	bool single, struct crew__inherited *inherited, char *ret_error, size_t error_size)
{
	const struct step step = { settings, single, inherited, ret_error, error_size };
	int status = 0;
	memset(listeners, 0, sizeof(*listeners));
	listeners->services = settings->services;
	for (unsigned i = 0; status == 0 && i < settings->services; i++)
		status = begin_one(&listeners->service[i], &step, i);
	/* What nobody wants may be in the way of what is opened now. */
	if (inherited)
		crew__inherited_fini(inherited, status < 0);
	for (unsigned i = 0; status == 0 && i < settings->services; i++)
		status = open_one(&listeners->service[i], &step, i);
	if (status < 0)
		crew__listeners_close(listeners);
	return status;
}

void crew__listeners_close(struct crew__listeners *listeners)
{
	for (unsigned i = 0; i < listeners->services; i++)
		close_service(&listeners->service[i]);
	memset(listeners, 0, sizeof(*listeners));
}

int crew__listeners_add(struct crew__listeners *listeners, const struct crew__settings *settings,
	unsigned service, char *ret_error, size_t error_size)
{
	struct crew__listener *listener = &listeners->service[service];
	const struct step step = { settings, false, NULL, ret_error, error_size };
	int status = begin_one(listener, &step, service);
	if (status == 0)
		status = open_one(listener, &step, service);
	if (status < 0)
		close_service(listener);
	else
		listeners->services = service + 1;
	return status;
}

static int widen(
	struct crew__listener *listener, unsigned workers, char *ret_error, size_t error_size)
{
	int status = 0;
	for (unsigned i = 0; status == 0 && i < listener->count; i++) {
		struct crew__listening *place = &listener->places[i];
		if (!place->each)
			continue;
		status = make_room(place, workers);
		if (status == 0)
			status = open_place(place, ret_error, error_size);
		int noted = note_each(listener, place->count);
		status = status < 0 ? status : noted;
	}
	return status;
}

int crew__listeners_widen(struct crew__listeners *listeners, const struct crew__settings *settings,
	unsigned service, char *ret_error, size_t error_size)
{
	const struct step step = { settings, false, NULL, ret_error, error_size };
	char why[512] = "no memory";
	int status = widen(&listeners->service[service],
		(unsigned)settings->service[service].workers, why, sizeof(why));
	return explain(&step, service, status, why);
}

void crew__listeners_drop(struct crew__listeners *listeners, unsigned service)
{
	close_service(&listeners->service[service]);
	if (listeners->services == service + 1)
		listeners->services = service;
}

unsigned crew__listeners_fds(const struct crew__listeners *listeners, unsigned service, unsigned id,
	bool own, int ret_fds[CREW__ADDRESSES_MAX])
{
	const struct crew__listener *listener = &listeners->service[service];
	unsigned count = 0;
	for (unsigned i = 0; i < listener->count; i++) {
		const struct crew__listening *place = &listener->places[i];
		unsigned index = place->each && id < place->count ? id : 0;
		if ((own && (place->count < 2 || index != id)) || place->fds[index] < 0)
			continue;
		ret_fds[count++] = place->fds[index];
	}
	return count;
}
