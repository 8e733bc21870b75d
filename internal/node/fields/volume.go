// SPDX-License-Identifier: Apache-2.0

package fields

// volume is about volumes.
var volume = map[string]rules{
	"Volume": {"name": honoured("")},
	"VolumeSource": {
		"emptyDir": within(), "configMap": honoured("follows its source"), "secret": honoured("in memory where the host permits; follows its source"),
		"downwardAPI": honoured(""), "projected": within(),
		"persistentVolumeClaim": honoured("volumes of StorageClass local: directories of the node"),
		"ephemeral":             honoured("a claim of the pod's own"),
		"hostPath":              refused(useClaim), "image": refused("use image host with an environment, or a claim"),
		"gcePersistentDisk": refused(useClaim), "awsElasticBlockStore": refused(useClaim), "gitRepo": refused(useClaim), "nfs": refused(useClaim),
		"iscsi": refused(useClaim), "glusterfs": refused(useClaim), "rbd": refused(useClaim), "flexVolume": refused(useClaim),
		"cinder": refused(useClaim), "cephfs": refused(useClaim), "flocker": refused(useClaim), "fc": refused(useClaim),
		"azureFile": refused(useClaim), "vsphereVolume": refused(useClaim), "quobyte": refused(useClaim), "azureDisk": refused(useClaim),
		"photonPersistentDisk": refused(useClaim), "portworxVolume": refused(useClaim), "scaleIO": refused(useClaim), "storageos": refused(useClaim),
		"csi": refused(useClaim),
	},
	"EmptyDirVolumeSource": {
		"medium":    refused("disk or Memory").but("Memory"),
		"sizeLimit": reported("storage is not bounded"),
	},
	"ProjectedVolumeSource": {"sources": within(), "defaultMode": honoured("")},
	"VolumeProjection": {
		"secret": honoured(""), "downwardAPI": honoured(""), "configMap": honoured(""), "serviceAccountToken": honoured("renewed before it expires"),
		"clusterTrustBundle": refused(""), "podCertificate": refused(""),
	},
}

const useClaim = "use a persistentVolumeClaim"
