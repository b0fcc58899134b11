/* resume.c - a master made of what its former image left.
 *
 * Whatever is missing or odd fails the whole, which the rehearsal finds while the former image
 * still runs. Nothing is written to shared memory, sent or signalled before all is there. */
#include "proc/testament.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	TESTAMENT_MOST = 64 << 20
};

struct reading {
	struct crew__master *master;
	char *error;
	size_t error_size;
};

static bool fail(const struct reading *reading, const char *what)
{
	if (reading->error[0] == '\0')
		snprintf(reading->error, reading->error_size,
			"what the running master has written down of its %s makes no sense here",
			what);
	return false;
}

static int64_t number(const json_t *from, const char *key)
{
	const json_t *value = json_object_get(from, key);
	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static int fd_of(const json_t *from, const char *key)
{
	int64_t fd = number(from, key);
	return fd >= 0 && fd <= INT32_MAX && fcntl((int)fd, F_GETFD) >= 0 ? (int)fd : -1;
}

static bool flag(const json_t *from, const char *key)
{
	return json_is_true(json_object_get(from, key));
}

json_t *crew__testament_read(int fd, char *ret_error, size_t error_size)
{
	struct stat st;
	char *text = NULL;
	json_t *testament = NULL;
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= TESTAMENT_MOST)
		text = malloc((size_t)st.st_size);
	if (text && pread(fd, text, (size_t)st.st_size, 0) == st.st_size)
		testament = json_loadb(text, (size_t)st.st_size, 0, NULL);
	free(text);
	if (number(testament, "crew_master") == CREW__TESTAMENT_VERSION)
		return testament;
	snprintf(ret_error, error_size, "the running master's state is of another kind (crew %s)",
		CREW_VERSION);
	json_decref(testament);
	return NULL;
}

/* ---- lives --------------------------------------------------------------------------------- */

static bool restore_entry(struct crew__registry *registry, const json_t *from)
{
	int64_t index = number(from, "index");
	if (index < 0 || index >= CREW__LIVES_MAX || number(from, "life") <= 0 ||
		number(from, "service") < 0 || number(from, "service") >= CREW_MAX_SERVICES)
		return false;
	struct crew__entry *entry = &registry->entries[index];
	entry->serial = (uint32_t)number(from, "serial");
	entry->slots = (uint32_t)number(from, "slots");
	entry->is_vacancy = flag(from, "vacancy");
	entry->life = (struct crew__life){
		.life = (uint32_t)number(from, "life"),
		.service = (uint32_t)number(from, "service"),
		.id = (uint32_t)number(from, "id"),
		.generation = (uint32_t)number(from, "generation"),
		.pid = (int32_t)number(from, "pid"),
		.fd = (int32_t)number(from, "fd"),
		.state = (uint32_t)number(from, "state"),
		.young = (uint32_t)number(from, "young"),
		.next_ns = (uint64_t)number(from, "next_ns"),
	};
	if (registry->used <= index)
		registry->used = (unsigned)index + 1;
	if (entry->serial == 0)
		return true;
	int fd = fd_of(from, "fd");
	return fd >= 0 && crew__segment_open(fd, true, &entry->segment) == 0;
}

static bool restore_registry(const struct reading *reading, const json_t *from)
{
	struct crew__registry *registry = calloc(1, sizeof(*registry));
	const json_t *entries = json_object_get(from, "entries");
	size_t i;
	json_t *each;
	if (!registry)
		return false;
	for (unsigned n = 0; n < CREW__LIVES_MAX; n++)
		registry->entries[n].segment.fd = -1;
	registry->serials = (uint32_t)number(from, "serials");
	reading->master->registry = registry;
	int fd = fd_of(from, "directory_fd");
	if (fd < 0 || crew__directory_resume(
			      fd, (uint32_t)number(from, "last_life"), &registry->directory) < 0)
		return fail(reading, "statistics");
	json_array_foreach(entries, i, each)
	{
		if (!restore_entry(registry, each))
			return fail(reading, "workers' statistics");
	}
	return true;
}

/* ---- the generation ------------------------------------------------------------------------ */

static bool add_sockets(
	struct crew__inherited *inherited, const char *service, unsigned place, const json_t *from)
{
	size_t i;
	json_t *each;
	json_array_foreach(json_object_get(from, "fds"), i, each)
	{
		struct crew__inherited_socket socket = {
			.by_name = true,
			.place = place,
			.index = (unsigned)i,
			.file = { (dev_t)number(from, "device"), (ino_t)number(from, "inode") },
			.fd = (int)json_integer_value(each),
		};
		if (socket.fd <= STDERR_FILENO)
			continue;
		snprintf(socket.name, sizeof(socket.name), "%s", service);
		if (crew__inherited_add(inherited, &socket) < 0)
			return false;
	}
	return true;
}

static int unhex(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Tickets that were sealed with another secret are worth a full handshake, nothing more. */
static void restore_secret(struct crew__tls_secret *secret, const json_t *from)
{
	const char *text = json_string_value(json_object_get(from, "secret"));
	unsigned char bytes[CREW__TLS_SECRET];
	if (!text || strlen(text) != 2 * sizeof(bytes))
		return;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		int high = unhex(text[2 * i]), low = unhex(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return;
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	memcpy(secret->bytes, bytes, sizeof(bytes));
	secret->epoch = (uint64_t)number(from, "epoch");
}

static bool restore_service(const struct reading *reading, struct crew__generation *generation,
	struct crew__inherited *inherited, const json_t *from)
{
	const char *name = json_string_value(json_object_get(from, "name"));
	int64_t place = number(from, "place");
	const struct crew__settings *settings = generation->settings;
	unsigned index = 0;
	while (name && index < settings->services &&
		strcmp(settings->service[index].service->name, name) != 0)
		index++;
	if (!name || index == settings->services || place < 0 || place >= CREW_MAX_SERVICES)
		return false;
	generation->place[index] = (unsigned)place;
	if (json_object_get(from, "tls_fd")) {
		int fd = fd_of(from, "tls_fd");
		if (fd < 0)
			return false;
		generation->certificates.service[place].has = true;
		generation->certificates.service[place].fd = fd;
	}
	restore_secret(&reading->master->family.secrets[place], from);
	size_t i;
	json_t *each;
	bool good = true;
	json_array_foreach(json_object_get(from, "listens"), i, each)
	{
		good = good && add_sockets(inherited, name, (unsigned)i, each);
	}
	return good;
}

static void restore_keepers(struct crew__listener *listener, const json_t *from)
{
	size_t i;
	json_t *each;
	json_array_foreach(json_object_get(from, "keepers"), i, each)
	{
		if (i < listener->each)
			listener->keepers[i] = (pid_t)json_integer_value(each);
	}
}

static bool restore_listeners(const struct reading *reading, struct crew__generation *generation,
	struct crew__inherited *take_inherited, const json_t *services)
{
	const struct crew__listeners_plan plan = {
		.settings = generation->settings,
		.places = generation->place,
		.inherited = take_inherited,
	};
	size_t i;
	json_t *each;
	if (crew__listeners_open(
		    &generation->listeners, &plan, reading->error, reading->error_size) < 0)
		return false;
	json_array_foreach(services, i, each)
	{
		restore_keepers(&generation->listeners.service[number(each, "place")], each);
	}
	return true;
}

static bool restore_generation(
	const struct reading *reading, struct crew__settings *settings, const json_t *from)
{
	struct crew__generation *generation = calloc(1, sizeof(*generation));
	const json_t *services = json_object_get(from, "services");
	struct crew__inherited inherited;
	size_t i;
	json_t *each;
	if (!generation)
		return false;
	reading->master->generation = generation;
	generation->references = 1;
	generation->number = (unsigned)number(from, "number");
	generation->program_fd = fd_of(from, "program_fd");
	generation->settings_fd = fd_of(from, "settings_fd");
	generation->settings = settings;
	if (generation->program_fd < 0 || generation->settings_fd < 0 ||
		json_array_size(services) != settings->services)
		return fail(reading, "generation");
	crew__inherited_init(&inherited, "the former image");
	bool good = true;
	json_array_foreach(services, i, each)
	{
		good = good && restore_service(reading, generation, &inherited, each);
	}
	if (good)
		return restore_listeners(reading, generation, &inherited, services);
	crew__inherited_fini(&inherited, true);
	return fail(reading, "services");
}

/* ---- workers and their places -------------------------------------------------------------- */

static struct crew__entry *entry_at(
	const struct crew__master *master, const json_t *from, const char *key)
{
	int64_t index = number(from, key);
	if (index < 0 || index >= CREW__LIVES_MAX ||
		master->registry->entries[index].life.life == 0)
		return NULL;
	return &master->registry->entries[index];
}

static bool restore_child(const struct reading *reading, const json_t *from)
{
	struct crew__master *master = reading->master;
	struct crew__child_memory memory = {
		.pid = (pid_t)number(from, "pid"),
		.service = (unsigned)number(from, "service"),
		.id = (unsigned)number(from, "id"),
		.wire_fd = fd_of(from, "wire_fd"),
		.entry = entry_at(master, from, "entry"),
		.state = (enum crew__child_state)number(from, "state"),
		.expected = flag(from, "expected"),
		.was_ready = flag(from, "was_ready"),
		.memory_judged = flag(from, "memory_judged"),
		.memory_counts = flag(from, "memory_counts"),
		.began_ns = (uint64_t)number(from, "began_ns"),
		.deadline_ns = (uint64_t)number(from, "deadline_ns"),
		.output = json_object_get(from, "output"),
	};
	size_t i;
	json_t *each;
	struct crew__child *child;
	/* One that has lost its wire is about to die. */
	bool has_wire = memory.wire_fd >= 0 || number(from, "wire_fd") == -1;
	if (memory.pid <= 0 || !has_wire || !memory.entry || memory.entry->segment.fd < 0 ||
		memory.state > CREW__CHILD_STOPPING ||
		!crew__generation_service(master->generation, memory.service))
		return false;
	if (crew__child_resume(&master->family, master->generation, &memory, &child) < 0)
		return false;
	json_array_foreach(json_object_get(from, "told"), i, each)
	{
		json_int_t index = json_integer_value(json_array_get(each, 0));
		if (index >= 0 && index < CREW__LIVES_MAX)
			child->told[index] = (uint32_t)json_integer_value(json_array_get(each, 1));
	}
	return true;
}

static bool restore_slot(const struct reading *reading, const json_t *from)
{
	struct crew__master *master = reading->master;
	struct crew__slot *slot = crew__slot_find(
		master, (unsigned)number(from, "service"), (unsigned)number(from, "id"));
	if (!slot)
		return false;
	slot->was_ready = flag(from, "was_ready");
	slot->backoff.young = (unsigned)number(from, "young");
	slot->vacancy = entry_at(master, from, "vacancy");
	slot->child = crew__family_find(&master->family, (pid_t)number(from, "pid"));
	return slot->child || !json_object_get(from, "pid");
}

static bool restore_workers(const struct reading *reading, const json_t *from)
{
	size_t i;
	json_t *each;
	json_array_foreach(json_object_get(from, "children"), i, each)
	{
		if (!restore_child(reading, each))
			return fail(reading, "workers");
	}
	if (crew__slots_add(reading->master, reading->master->generation) < 0)
		return false;
	json_array_foreach(json_object_get(from, "slots"), i, each)
	{
		if (!restore_slot(reading, each))
			return fail(reading, "workers' places");
	}
	return true;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static bool restore_rest(const struct reading *reading, const json_t *from)
{
	struct crew__master *master = reading->master;
	master->has_terminal = flag(from, "has_terminal");
	master->state = CREW__MASTER_RELOADING;
	if (crew__watch_restore(&master->watch, json_object_get(from, "watch")) < 0)
		return false;
	master->reload.number = (unsigned)number(from, "reload");
	return crew__master_resume_control(master, json_object_get(from, "control"), reading->error,
		       reading->error_size) == 0;
}

bool crew__testament_restore(struct crew__master *master, struct crew__settings *settings,
	json_t *testament, char *ret_error, size_t error_size)
{
	const struct reading reading = { master, ret_error, error_size };
	ret_error[0] = '\0';
	bool good = crew__master_init_loop(master, settings) == 0 &&
		    restore_registry(&reading, json_object_get(testament, "registry"));
	if (good)
		master->family.registry = master->registry;
	good = good &&
	       restore_generation(&reading, settings, json_object_get(testament, "generation")) &&
	       restore_workers(&reading, testament) && restore_rest(&reading, testament);
	if (!good && ret_error[0] == '\0')
		snprintf(
			ret_error, error_size, "there is no memory for the running master's state");
	return good;
}
