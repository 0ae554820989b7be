/* Sets a trip point of a sensor by Linux's SCMI core, and logs the notifications of it that the core hands
   on. Linux has no driver that asks for them. Parameters: the sensor, and the value of its trip point 0. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/scmi_protocol.h>

static unsigned int sensor;
module_param(sensor, uint, 0444);
static unsigned long long value;
module_param(value, ullong, 0444);

static int tripped(struct notifier_block *block, unsigned long event, void *data) {
  const struct scmi_sensor_trip_point_report *report = data;
  pr_info("sensor %u crossed: %#x\n", report->sensor_id, report->trip_point_desc);
  return NOTIFY_OK;
}
static struct notifier_block notifications = {.notifier_call = tripped};

static int probe(struct scmi_device *device) {
  const struct scmi_handle *handle = device->handle;
  const struct scmi_sensor_proto_ops *sensors;
  struct scmi_protocol_handle *protocol;
  int status;

  sensors = handle->devm_protocol_get(device, SCMI_PROTOCOL_SENSOR, &protocol);
  if (IS_ERR(sensors)) return PTR_ERR(sensors);
  status = handle->notify_ops->devm_event_notifier_register(
      device, SCMI_PROTOCOL_SENSOR, SCMI_EVENT_SENSOR_TRIP_POINT_EVENT, &sensor, &notifications);
  return status ? status : sensors->trip_point_config(protocol, sensor, 0, value);
}

static const struct scmi_device_id devices[] = {{SCMI_PROTOCOL_SENSOR, "sensor-trips"}, {}};
MODULE_DEVICE_TABLE(scmi, devices);

static struct scmi_driver trips_driver = {.name = "sensor-trips", .probe = probe, .id_table = devices};
module_scmi_driver(trips_driver);

MODULE_DESCRIPTION("Notifications of sensors");
MODULE_LICENSE("GPL");
