// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"io"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"gopkg.in/natefinch/lumberjack.v2"
	"k8s.io/client-go/rest"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

// componentLog is what klog writes to: klog is process-wide and must not be re-configured while components run.
var componentLog sync.Once

// routeLogs sends klog, the logger of all Kubernetes components, to w. Only the first call in a process counts.
func routeLogs(w io.Writer) {
	componentLog.Do(func() {
		logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
		klog.SetLoggerWithOptions(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(w))), klog.ContextualLogger(true))
		// The controllers watch deprecated APIs on purpose.
		rest.SetDefaultWarningHandler(rest.NoWarnings{})
	})
}

// etcdLogger writes warnings and worse to w. A fatal line panics, so that the start of a damaged store can be
// answered with an error instead of the end of the process.
func etcdLogger(w io.Writer) *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), zapcore.WarnLevel)
	return zap.New(core, zap.WithFatalHook(zapcore.WriteThenPanic)).Named("etcd")
}

// rotatedFile keeps at most 3 old files of 20 MiB.
func rotatedFile(path string) io.Writer {
	return &lumberjack.Logger{Filename: path, MaxSize: 20, MaxBackups: 3}
}
