// Holds objects of other makers to their own schemas: a JSON list comes in, a line for each fault goes out.
// The argument is the folder with node_modules.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const folder = `${process.argv[2]}/node_modules/@kubernetes-models`;
const PLACES = {
  ScaledObject: 'keda/keda.sh/v1alpha1/ScaledObject.js',
  ServiceMonitor: 'prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor.js',
};

for (const object of JSON.parse(readFileSync(0, 'utf8'))) {
  const { [object.kind]: Model } = await import(pathToFileURL(`${folder}/${PLACES[object.kind]}`));
  try {
    new Model(object).validate();
  } catch (error) {
    console.log(`${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}
